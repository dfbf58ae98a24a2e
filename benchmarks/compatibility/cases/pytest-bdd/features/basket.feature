Feature: A basket
    As a customer I fill a basket.

    Background:
        Given an empty basket

    @smoke
    Scenario: One apple
        When I add 1 apple
        Then there is 1 fruit

    Scenario Outline: More of them
        When I add <number> apple
        Then there is <number> fruit

        Examples:
            | number |
            | 2      |
            | 3      |

    Scenario: A mistake
        When I add 2 apple
        Then there is 3 fruit

    Scenario: Nothing
        Then there is 0 fruit
