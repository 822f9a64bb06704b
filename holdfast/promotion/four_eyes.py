"""Rules about the person that approves: an approval needs a signature, and no person approves the own version."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from feature_repo.settings import EnvironmentSettings
from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.records import ApprovalRecord
from holdfast.promotion.approval_signature import Approver, approval_statement, find_signer, read_approvers
from holdfast.training.trainer import read_trainer

if TYPE_CHECKING:
    from holdfast.training.mlflow_client import ModelClient


class ApprovalSettings(EnvironmentSettings):
    """Persons that may approve a promotion."""

    approvers_file: Path | None = Field(
        default=None,
        description="File with the persons that may approve, a line each: name, ssh-ed25519, public key. An approval "
        "then needs a signature by one of them (`ssh-keygen -Y sign`); without the file its name is what the person "
        "typed, and records show it as claimed.",
    )
    four_eyes: bool = Field(
        default=False,
        description="Promote a version only with a signed approval by a person other than the one that trained it. "
        "Needs HOLDFAST_APPROVERS_FILE.",
    )

    @field_validator("four_eyes")
    @classmethod
    def _file_for_rule(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("approvers_file") is None:
            raise ValueError("false, unless HOLDFAST_APPROVERS_FILE names the persons that may approve")
        return value

    def approvers(self) -> list[Approver] | None:
        """Read the persons that may approve.

        Returns:
            The persons; None without a file.

        Raises:
            SettingsError: The file is not a file of approvers.
        """
        return read_approvers(self.approvers_file.expanduser()) if self.approvers_file else None


def identify_approver(model_name: str, version: str, record: ApprovalRecord, signature: str) -> Approver | None:
    """Find the approver that signed an approval.

    Args:
        model_name: Name of the registered model.
        version: Version number.
        record: The request.
        signature: The signature.

    Returns:
        The approver; None without a file of approvers or a valid signature.
    """
    approvers = ApprovalSettings.from_environment().approvers()
    return find_signer(approvers or [], approval_statement(model_name, version, record), signature)


def require_approver(client: "ModelClient", version: str, mode: Literal["auto", "manual"], gates: str) -> None:
    """Require the signature of an approver where the settings ask for it, and the approver to be another person.

    The signature is verified here again, since the records in the registry are only texts.

    Args:
        client: MLflow's client.
        version: Version number.
        mode: Mode of the decision; automatic decisions need no person unless ``HOLDFAST_FOUR_EYES`` is set.
        gates: Key of the evidence.

    Raises:
        PromotionRefusedError: There is no such approval, the approver trained the version, or the person that trained
            it is not known.
    """
    settings = ApprovalSettings.from_environment()
    if settings.approvers_file is None or (mode == "auto" and not settings.four_eyes):
        return
    about = f"{client.model_name} version {version}"
    record = ApprovalRecord.load(client, version)
    approver = identify_approver(client.model_name, version, record, record.signature) if record else None
    if record is None or approver is None or record.status != "approved" or record.gates != gates:
        raise PromotionRefusedError(
            f"No person of HOLDFAST_APPROVERS_FILE has signed an approval of {about} on its current evidence. "
            f"Request one: `prefect deployment run promote/promote -p version='\"{version}\"' -p approval=manual`."
        )
    if settings.four_eyes and (problem := find_four_eyes_problem(client, version, approver)):
        raise PromotionRefusedError(f"{about}: {problem}.")


def find_four_eyes_problem(client: "ModelClient", version: str, approver: Approver) -> str | None:
    """Find why a person may not approve a version.

    Args:
        client: MLflow's client.
        version: Version number.
        approver: The person that signed.

    Returns:
        The approver trained the version, or the person that trained it is not known; None if all is well.
    """
    trainer = read_trainer(client, version)
    if trainer is None or trainer.proof not in ("login", "program"):
        return (
            "HOLDFAST_FOUR_EYES is set, and it is not known which person trained the version, since Prefect has one "
            "password; train with `python -m flows.train`, or by a schedule or an automation"
        )
    if trainer.proof == "login" and trainer.name.casefold() in {name.casefold() for name in approver.names}:
        return f"HOLDFAST_FOUR_EYES is set, and {approver.names[0]} trained the version; another approver has to sign"
    return None
