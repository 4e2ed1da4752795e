"""Secrets: what is kept, who may be given them, and that a new value means a new revision."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from factories import DIGEST, function, run_sql

from faas.db import revisions
from faas.domain.namespace import DEFAULT
from faas.domain.secret import Secret
from faas.errors import ConfigError, Conflict, FunctionError, Invalid, NotFound, SandboxError
from faas.services import Services, secrets
from faas.services.requests import FunctionChanges
from faas.services.vault import Vault, new_key

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def settings(settings):
    return replace(settings, secrets_keys=(new_key(),))


def give(services, name="db", value=VALUE):
    return services.secrets.put(DEFAULT, name, Secret(value))


def revealed(services, made, keys):
    revision = revisions.Revisions(services.database).get(made.id, services.functions.get(made.id).revision)
    found = secrets.reveal(services.database, Vault(keys), revision)
    return {name: value.reveal() for name, value in found.items()}


def test_a_bound_function_is_given_the_value(services, settings):
    give(services)
    made = function(services.database, secrets={"PASSWORD": "db"})
    assert revealed(services, made, settings.secrets_keys) == {"PASSWORD": VALUE}


def test_the_database_holds_no_value(services):
    give(services)
    with services.database.autocommit() as tx:
        row = tx.one("SELECT s::text AS whole, ciphertext FROM secrets s")
    assert VALUE not in row.whole
    assert VALUE.encode() not in bytes(row.ciphertext)


def test_a_new_value_makes_new_revisions_of_the_bound_functions_alone(services, settings):
    give(services)
    bound, other = function(services.database, secrets={"PASSWORD": "db"}), function(services.database)
    record = give(services, value="another")
    assert (record.version, record.functions) == (2, (bound.name,))
    assert services.functions.get(bound.id).revision == 2
    assert services.functions.get(other.id).revision == 1
    assert revealed(services, bound, settings.secrets_keys) == {"PASSWORD": "another"}


def test_a_secret_that_is_not_there_can_not_be_bound(services):
    with pytest.raises(Invalid, match=r"secrets\.PASSWORD"):
        function(services.database, secrets={"PASSWORD": "nothing"})
    made = function(services.database)
    with pytest.raises(Invalid, match=r"secrets\.PASSWORD"):
        services.functions.update(made.id, FunctionChanges({"secrets": {"PASSWORD": "nothing"}}))
    assert services.functions.get(made.id).revision == 1


def test_one_variable_is_not_set_twice(services):
    give(services)
    made = function(services.database, environment={"PASSWORD": "plain"})
    with pytest.raises(Invalid, match="environment"):
        services.functions.update(made.id, FunctionChanges({"secrets": {"PASSWORD": "db"}}))


def test_a_secret_that_is_used_can_not_be_deleted(services):
    give(services)
    made = function(services.database, secrets={"PASSWORD": "db"})
    with pytest.raises(Conflict, match=made.name):
        services.secrets.delete(DEFAULT, "db")
    services.functions.delete(made.id)
    services.secrets.delete(DEFAULT, "db")
    assert services.secrets.find(DEFAULT) == []
    with pytest.raises(NotFound):
        services.secrets.delete(DEFAULT, "db")


def test_work_of_an_older_revision_whose_secret_is_gone_fails_as_the_functions_fault(services, settings):
    give(services)
    made = function(services.database, secrets={"PASSWORD": "db"})
    services.functions.update(made.id, FunctionChanges({"secrets": {}}))
    services.secrets.delete(DEFAULT, "db")
    old = revisions.Revisions(services.database).get(made.id, 1)
    with pytest.raises(FunctionError, match="'db' is not there"):
        secrets.reveal(services.database, Vault(settings.secrets_keys), old)


def test_without_a_key_nothing_is_kept_and_the_answer_says_what_to_set(services, settings):
    keyless = Services.open(replace(settings, secrets_keys=()))
    try:
        with pytest.raises(Conflict, match="FAAS_SECRETS_KEY"):
            give(keyless)
    finally:
        keyless.close()
    assert services.secrets.find(DEFAULT) == []


def test_rotation_leaves_values_versions_and_revisions_and_makes_the_old_key_useless(services, settings):
    give(services)
    made = function(services.database, secrets={"PASSWORD": "db"})
    old, new = settings.secrets_keys[0], new_key()
    assert secrets.rotate(services.database, Vault((new, old))) == 1
    assert secrets.rotate(services.database, Vault((new, old))) == 0
    assert revealed(services, made, (new,)) == {"PASSWORD": VALUE}
    with pytest.raises(SandboxError, match="FAAS_SECRETS_KEY"):
        revealed(services, made, (old,))
    assert services.secrets.find(DEFAULT)[0].version == 1
    assert services.functions.get(made.id).revision == 1


def test_a_value_put_in_another_ones_place_is_noticed(services, settings):
    give(services, "db")
    give(services, "other", "less-secret")
    made = function(services.database, secrets={"PASSWORD": "other"})
    run_sql(
        services.database,
        "UPDATE secrets SET ciphertext = (SELECT ciphertext FROM secrets WHERE name = 'db') WHERE name = 'other'",
    )
    with pytest.raises(SandboxError, match="was changed"):
        revealed(services, made, settings.secrets_keys)


def test_binding_setting_and_deleting_at_once_never_wait_in_a_circle_nor_leave_a_function_unbound(services):
    give(services)
    made = [function(services.database, secrets={"A": "db"}, artifact=DIGEST) for _ in range(3)]

    def act(number):
        one = made[number % 3]
        try:
            if number % 4 == 0:
                give(services, value=f"value-{number}")
            elif number % 4 == 1:
                services.functions.update(one.id, FunctionChanges({"secrets": {"A": "db"}}))
            elif number % 4 == 2:
                services.functions.update(one.id, FunctionChanges({"secrets": {}}))
            else:
                services.secrets.delete(DEFAULT, "db")
        except (Conflict, NotFound, Invalid):
            pass

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(act, range(48)))
    there = {one.name for one in services.secrets.find(DEFAULT)}
    for one in made:
        assert set(services.functions.get(one.id).spec.secrets.values()) <= there


def test_a_secret_shows_itself_to_nobody_who_does_not_ask():
    secret = Secret(VALUE)
    assert VALUE not in f"{secret} {secret!r} {[secret]} {secret:>40}"
    assert secret.reveal() == VALUE
    with pytest.raises(TypeError):
        __import__("pickle").dumps(secret)


@pytest.mark.parametrize("key", ["short", base64.b64encode(os.urandom(16)).decode(), "é" * 44])
def test_what_is_no_key_is_refused_and_not_shown(key):
    with pytest.raises(ConfigError, match="FAAS_SECRETS_KEY") as refused:
        Vault((key,))
    assert key not in str(refused.value)
