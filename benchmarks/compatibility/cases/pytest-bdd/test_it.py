from pytest_bdd import given, parsers, scenarios, then, when

scenarios("features")


@given("an empty basket", target_fixture="basket")
def empty_basket():
    return []


@when(parsers.parse("I add {number:d} apple"))
def add(basket, number):
    basket += ["apple"] * number


@then(parsers.parse("there is {number:d} fruit"))
def count(basket, number):
    assert len(basket) == number
