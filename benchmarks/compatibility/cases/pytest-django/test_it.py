import pytest
from django.core import mail
from django.db import IntegrityError, connection, transaction
from project.models import Thing


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(6))
def test_is_rolled_back(number):
    assert Thing.objects.count() == 0
    Thing.objects.create(name="the one")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_commits_and_is_flushed(number):
    assert Thing.objects.count() == 0
    with transaction.atomic():
        Thing.objects.create(name="the one")
    assert not connection.in_atomic_block


@pytest.mark.django_db
def test_unique():
    Thing.objects.create(name="twice")
    with pytest.raises(IntegrityError), transaction.atomic():
        Thing.objects.create(name="twice")


@pytest.mark.django_db
def test_client(client):
    Thing.objects.create(name="shown")
    assert client.get("/names/").json() == {"names": ["shown"]}


@pytest.mark.django_db(reset_sequences=True)
@pytest.mark.parametrize("number", range(2))
def test_sequences(number):
    assert Thing.objects.create(name="first").pk == 1


@pytest.mark.django_db
def test_counts_queries(django_assert_num_queries):
    with django_assert_num_queries(2):
        Thing.objects.count()
        Thing.objects.count()


@pytest.fixture(scope="module")
def things(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        yield [Thing.objects.create(name="of the module")]
        Thing.objects.all().delete()


def test_mail(mailoutbox):
    mail.send_mail("subject", "body", "a@example.org", ["b@example.org"])
    assert len(mailoutbox) == 1


def test_database_is_not_there_without_mark():
    with pytest.raises(RuntimeError, match="not allowed"):
        Thing.objects.count()


def test_settings(settings):
    settings.SECRET_KEY = "another"
    assert settings.SECRET_KEY == "another"


@pytest.mark.django_db
def test_name_has_the_worker(worker_id_or_none):
    name = str(connection.settings_dict["NAME"])
    assert worker_id_or_none is None or worker_id_or_none in name or "memory" in name


@pytest.fixture
def worker_id_or_none(request):
    return getattr(request.config, "workerinput", {}).get("workerid")


@pytest.mark.django_db
def test_fails():
    assert Thing.objects.count() == 1
