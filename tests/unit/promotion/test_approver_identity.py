"""Attacks on approvals: a typed name, a forged record, a reused signature, and approval of the own version."""

import base64
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.errors import SettingsError
from feature_repo.settings import Settings
from holdfast.core.errors import ApprovalRefusedError, PromotionRefusedError
from holdfast.core.identity import Person, find_login
from holdfast.model_versions.records import ApprovalRecord, GatesRecord, PromotionRecord
from holdfast.promotion.approval import ApprovalAnswer, record_answer
from holdfast.promotion.approval_signature import approval_statement, find_signer, read_approvers
from holdfast.promotion.champion_update import PromotionDecision, promote_champion
from holdfast.promotion.decision import decide_automatically, decide_by_approval
from holdfast.promotion.four_eyes import ApprovalSettings
from holdfast.runtime import flow_runs
from holdfast.runtime.callers import identify_caller
from holdfast.training.trainer import TRAINER_TAG, render_trainer
from tests.support.registry import make_registry
from tests.support.ssh_signatures import sign_as_ssh

NOW = datetime.now(UTC)
ANN, BOB, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))
# Made by OpenSSH 9: `printf %s STATEMENT | ssh-keygen -Y sign -n holdfast-approval -f id_ann`.
PUBLIC_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIFmkRRlqhkuCMrCPpFWFQ/adqTllidfdZ3ICK4R7d3R7"
STATEMENT = "approve holdfast-churn version 3 gates k request run-1"
SIGNATURE = """-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgWaRFGWqGS4IysI+kVYVD9p2pOW
WJ191ncgIrhHt3dHsAAAARaG9sZGZhc3QtYXBwcm92YWwAAAAAAAAABnNoYTUxMgAAAFMA
AAALc3NoLWVkMjU1MTkAAABAV0LZXxv9uxhp5EPmPTZ99Yugbir4fkEOz+dsIwEVaLJpMQ
hHi9wolru1bG0g/+QDwLfM5gQvOOpzUr+KX8CVCQ==
-----END SSH SIGNATURE-----
"""


def line_of(name: str, key: Ed25519PrivateKey) -> str:
    """Return the line of a person in the file of approvers."""
    return f"{name} {key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} a comment\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of approvers with Ann and Bob, which the settings name."""
    found = tmp_path / "approvers"
    found.write_text("# persons\n" + line_of("ann,ann.smith", ANN) + line_of("bob", BOB))
    found.chmod(0o644)
    monkeypatch.setenv("HOLDFAST_APPROVERS_FILE", str(found))
    return found


@pytest.fixture
def client(data_dir: Path) -> Any:
    """A registry with version 1, which passed its gates, was trained by ann, and waits for approval."""
    registry = make_registry(data_dir / "mlflow")
    registry.register_model()
    GatesRecord(verdict="passed", champion=None, settings="s", when=NOW, failed=[], key="k").save(registry.client, "1")
    set_trainer(registry.client, Person("ann", "login"))
    request(registry.client)
    return registry.client


def set_trainer(client: Any, person: Person) -> None:
    tag = f'{{"name": "{person.name}", "proof": "{person.proof}"}}'
    client.set_model_version_tag(client.model_name, "1", TRAINER_TAG, tag)


def request(client: Any, flow_run: str = "run-1") -> ApprovalRecord:
    """Request approval of version 1."""
    record = ApprovalRecord(status="waiting", since=NOW, until=NOW + timedelta(days=1), flow_run=flow_run, gates="k")
    record.save(client, "1")
    return record


def signed_answer(client: Any, key: Ed25519PrivateKey, who: str = "another person") -> ApprovalAnswer:
    """Approve with a valid signature, under any typed name."""
    record = ApprovalRecord.load(client, "1")
    assert record is not None
    return ApprovalAnswer(True, who, "better", sign_as_ssh(key, approval_statement(client.model_name, "1", record)))


def promote(client: Any, decision: PromotionDecision | None = None) -> PromotionRecord:
    promote_champion(client, Settings.from_environment(), "1", decision or decide_by_approval(client, "1"), NOW)
    record = PromotionRecord.load(client, "1")
    assert record is not None
    return record


def test_typed_name_is_recorded_as_claimed(client: Any) -> None:
    decision = record_answer(client, "1", ApprovalAnswer(True, "Ann", "better"), NOW)
    assert decision.by == "claimed by Ann"
    record = promote(client)
    assert (record.who, record.proof, record.by) == ("Ann", "claimed", "claimed by Ann")


def test_signature_names_its_signer_whatever_was_typed(client: Any, file: Path) -> None:
    assert record_answer(client, "1", signed_answer(client, BOB, "Ann"), NOW).by == "by bob (signed)"
    record = promote(client)
    assert (record.who, record.proof) == ("bob", "signature")


def test_approval_without_a_valid_signature_is_refused(client: Any, file: Path) -> None:
    for answer in (ApprovalAnswer(True, "ann", "better"), signed_answer(client, EVE, "ann")):
        request(client)
        with pytest.raises(ApprovalRefusedError, match="claimed by ann: no person of HOLDFAST_APPROVERS_FILE"):
            record_answer(client, "1", answer, NOW)
    with pytest.raises(PromotionRefusedError, match="No person has approved"):
        decide_by_approval(client, "1")


def test_signature_of_another_request_is_refused(client: Any, file: Path) -> None:
    answer = signed_answer(client, BOB)
    request(client, "run-2")
    with pytest.raises(ApprovalRefusedError):
        record_answer(client, "1", answer, NOW)


def test_forged_approval_in_the_registry_promotes_nothing(client: Any, file: Path) -> None:
    """A tag states that Bob signed: neither a record without a signature nor a reused signature counts."""
    waiting = ApprovalRecord.load(client, "1")
    assert waiting is not None
    other = sign_as_ssh(BOB, approval_statement(client.model_name, "2", waiting))
    for signature in ("", other):
        fields = {"status": "approved", "who": "bob", "proof": "signature", "when": NOW, "signature": signature}
        waiting.model_copy(update=fields).save(client, "1")
        with pytest.raises(PromotionRefusedError, match="No person of HOLDFAST_APPROVERS_FILE has signed"):
            promote(client)


@pytest.fixture
def four_eyes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_FOUR_EYES", "true")


@pytest.mark.parametrize("name", ["ann", "ANN", "ann.smith"])
def test_four_eyes_refuses_the_approval_of_the_own_version(client: Any, four_eyes: None, name: str) -> None:
    set_trainer(client, Person(name, "login"))
    with pytest.raises(ApprovalRefusedError, match="ann trained the version; another approver has to sign"):
        record_answer(client, "1", signed_answer(client, ANN, "bob"), NOW)


def test_four_eyes_accepts_another_person(client: Any, four_eyes: None) -> None:
    record_answer(client, "1", signed_answer(client, BOB), NOW)
    assert promote(client).who == "bob"


def test_four_eyes_accepts_any_approver_of_a_scheduled_training(client: Any, four_eyes: None) -> None:
    set_trainer(client, Person("schedule", "program"))
    assert record_answer(client, "1", signed_answer(client, ANN), NOW).who == "ann"


@pytest.mark.parametrize("trainer", [Person("", "shared"), Person("bob", "claimed")])
def test_four_eyes_refuses_a_version_of_an_unknown_person(client: Any, four_eyes: None, trainer: Person) -> None:
    set_trainer(client, trainer)
    with pytest.raises(ApprovalRefusedError, match="not known which person trained"):
        record_answer(client, "1", signed_answer(client, BOB), NOW)


def test_four_eyes_refuses_an_automatic_promotion(client: Any, four_eyes: None) -> None:
    client.delete_model_version_tag(client.model_name, "1", ApprovalRecord.TAG)
    with pytest.raises(PromotionRefusedError, match="has signed an approval"):
        promote(client, decide_automatically(client, "1", "", NOW))


def test_four_eyes_checks_the_trainer_again_at_the_promotion(client: Any, file: Path, monkeypatch: Any) -> None:
    record_answer(client, "1", signed_answer(client, ANN), NOW)  # before the rule was set
    monkeypatch.setenv("HOLDFAST_FOUR_EYES", "true")
    with pytest.raises(PromotionRefusedError, match="ann trained the version"):
        promote(client)


def test_four_eyes_without_a_file_of_approvers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_FOUR_EYES", "true")
    with pytest.raises(SettingsError, match=r"HOLDFAST_FOUR_EYES .* unless HOLDFAST_APPROVERS_FILE names"):
        ApprovalSettings.from_environment()


def test_find_signer_accepts_openssh_also_without_line_breaks(tmp_path: Path) -> None:
    file = tmp_path / "approvers"
    file.write_text(f"ann ssh-ed25519 {PUBLIC_KEY}")
    (ann,) = approvers = read_approvers(file)
    for text in (SIGNATURE, SIGNATURE.replace("\n", ""), SIGNATURE.replace("\n", " ")):
        assert find_signer(approvers, STATEMENT, text) == ann
    assert find_signer(approvers, STATEMENT.replace("3", "4"), SIGNATURE) is None
    assert find_signer(approvers, STATEMENT, sign_as_ssh(ANN, STATEMENT)) is None


@given(position=st.integers(0, 10_000), value=st.integers(1, 255), text=st.text(max_size=60))
def test_find_signer_changed_signature_is_refused(position: int, value: int, text: str) -> None:
    approvers = [SimpleNamespace(names=("bob",), key=BOB.public_key().public_bytes_raw())]
    content = bytearray(base64.b64decode("".join(sign_as_ssh(BOB, STATEMENT).splitlines()[1:-1])))
    content[position % len(content)] ^= value
    assert find_signer(approvers, STATEMENT, base64.b64encode(bytes(content)).decode()) is None  # type: ignore[arg-type]
    assert find_signer(approvers, STATEMENT, text) is None  # type: ignore[arg-type]


def test_find_signer_other_purpose_is_refused(tmp_path: Path) -> None:
    """A signature that the person made for another program, such as Git, approves nothing."""
    approvers = [SimpleNamespace(names=("bob",), key=BOB.public_key().public_bytes_raw())]
    assert find_signer(approvers, STATEMENT, sign_as_ssh(BOB, STATEMENT, "git")) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    ["", "# only a comment\n", "ann\n", "ann ssh-rsa AAAA\n", "ann ssh-ed25519 ????\n", f"ssh-ed25519 {PUBLIC_KEY}\n"],
)
def test_read_approvers_other_content_is_one_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "approvers"
    file.write_text(content)
    with pytest.raises(SettingsError, match="file of approvers"):
        read_approvers(file)


def test_read_approvers_file_that_others_may_change_is_refused(file: Path) -> None:
    file.chmod(0o666)
    with pytest.raises(SettingsError, match="can be changed by other users"):
        read_approvers(file)


def test_identify_caller_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = find_login()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "intruder")
    assert identify_caller() == before
    assert before.proof == "login"


def test_find_login_keeps_the_login_of_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = tmp_path / "loginuid"
    login.write_text("54321")
    monkeypatch.setattr("holdfast.core.identity._LOGIN_ID", login)
    assert find_login() == Person("user 54321", "login")
    login.write_text(str(2**32 - 1))
    monkeypatch.setattr(os, "getuid", lambda: 54322)
    assert find_login() == Person("user 54322", "login")


@pytest.mark.parametrize(
    ("scheduled", "creator", "expected"),
    [
        (True, None, "by schedule"),
        (False, SimpleNamespace(type="AUTOMATION"), "by automation"),
        (False, None, "by a holder of Prefect's password"),
    ],
)
def test_identify_caller_of_a_worker_is_not_its_user(
    scheduled: bool, creator: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = SimpleNamespace(auto_scheduled=scheduled, created_by=creator)

    class Client:
        def __enter__(self) -> Any:
            return SimpleNamespace(read_flow_run=lambda _id: run)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(flow_runs, "get_client", lambda **_: Client())
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "01890a5d-ac96-774b-bcce-b302099a8057")
    assert str(identify_caller()) == expected
    assert str(identify_caller("Ann")) == "claimed by Ann"
    assert expected.removeprefix("by ").split()[0] in render_trainer() or "shared" in render_trainer()
