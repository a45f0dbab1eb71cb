"""`pasture signer`: signing profiles and what they sign. No server is needed, and a running one knows them at once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from pasture.cli import options
from pasture.cli.failure import Failure
from pasture.cli.output import note, print_json, print_table
from pasture.domain.code_signing import JOB_ARN
from pasture.domain.scope import DEFAULT_ACCOUNT, DEFAULT_REGION, Scope
from pasture.kit.clock import SystemClock, iso_millis
from pasture.signing import validity, verifying
from pasture.signing.errors import Tampered
from pasture.signing.profiles import DIRECTORY, Profiles, ProfileVersion
from pasture.signing.signer import Signer

_account = click.option(
    "--account", default=DEFAULT_ACCOUNT, show_default=True, help="The account the profile belongs to."
)
_region = click.option("--region", default=DEFAULT_REGION, show_default=True, help="The region it belongs to.")
_version = click.option("--version", "profile_version", help="The version that is meant, when it is not the newest.")
_reason = click.option("--reason", default="", help="Why.")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def signer() -> None:
    """Sign deployment packages, and say whose signatures are good.

    \b
    Example:
      pasture signer create-profile builds
      pasture signer sign --profile builds function.zip signed.zip
      aws lambda create-code-signing-config --code-signing-policies UntrustedArtifactOnDeployment=Enforce \\
          --allowed-publishers SigningProfileVersionArns="$(pasture signer show builds --arn)"
    """


@signer.command("create-profile")
@click.argument("name")
@_account
@_region
@click.option(
    "--validity",
    "period",
    default=validity.DEFAULT,
    show_default=True,
    help="How long its signatures are good for: 90d, 12m, 2y; at most 135m.",
)
@options.data_dir
@options.output
def create_profile(name: str, account: str, region: str, period: str, data_dir: Path, as_json: bool) -> None:
    """Make a signing profile, or a new version of one that was canceled or revoked. Its key stays on this machine.

    \b
    Example:
      pasture signer create-profile builds --validity 12m
    """
    made = _profiles(data_dir).create(Scope(account, region), name, period)
    if as_json:
        print_json(_details(made))
    else:
        click.echo(made.arn)


@signer.command("profiles")
@options.data_dir
@options.output
def list_profiles(data_dir: Path, as_json: bool) -> None:
    """Show the signing profiles, every version of each.

    \b
    Example:
      pasture signer profiles
    """
    known = _profiles(data_dir).items()
    if as_json:
        print_json([_details(profile) for profile in known])
        return
    print_table(
        ("ARN", "STATUS", "VALIDITY", "CREATED"),
        [(profile.arn, profile.status, profile.validity, iso_millis(profile.created)) for profile in known],
    )


@signer.command()
@click.argument("name")
@_version
@_account
@_region
@click.option("--arn", "only_arn", is_flag=True, help="Nothing but the ARN of the version.")
@options.data_dir
def show(name: str, profile_version: str | None, account: str, region: str, only_arn: bool, data_dir: Path) -> None:
    """Show the newest version of a signing profile, as JSON.

    \b
    Example:
      pasture signer show builds
    """
    profile = _profiles(data_dir).newest(Scope(account, region), name, profile_version)
    if only_arn:
        click.echo(profile.arn)
    else:
        print_json(_details(profile))


@signer.command()
@click.option("--profile", "name", required=True, help="The signing profile.")
@_account
@_region
@click.argument("source", type=_file, metavar="IN.zip")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT.zip")
@options.data_dir
@options.output
def sign(name: str, account: str, region: str, source: Path, target: Path, data_dir: Path, as_json: bool) -> None:
    """Sign a deployment package or a layer.

    \b
    Example:
      pasture signer sign --profile builds function.zip signed.zip
    """
    signature = Signer(_profiles(data_dir)).sign(Scope(account, region), name, source, target)
    if as_json:
        print_json({"SigningProfileVersionArn": signature.profile_version_arn, "SigningJobArn": signature.job_arn})
    else:
        click.echo(signature.job_arn)


@signer.command()
@click.argument("archive", type=_file, metavar="ZIP")
@options.data_dir
def inspect(archive: Path, data_dir: Path) -> None:
    """Say who has signed an archive, and whether the signature is good. The exit code is 1 when it is not.

    \b
    Example:
      pasture signer inspect signed.zip
    """
    reading = _read(archive, data_dir)
    said, profile = reading.statement, reading.profile
    status = "Valid"
    if profile is None:
        status = "UnknownProfile"
    elif SystemClock().now() >= said.expires:
        status = "Expired"
    elif profile.has_revoked(said.job, said.signed):
        status = "Revoked"
    print_json(
        {
            "Status": status,
            "SigningProfileVersionArn": said.profile,
            "SigningJobArn": said.job,
            "Signed": iso_millis(said.signed),
            "Expires": iso_millis(said.expires),
        }
    )
    if status != "Valid":
        raise click.exceptions.Exit(1)


@signer.command("cancel-profile")
@click.argument("name")
@_version
@_account
@_region
@options.data_dir
def cancel_profile(name: str, profile_version: str | None, account: str, region: str, data_dir: Path) -> None:
    """Let a signing profile sign no more. What it has signed stays good.

    \b
    Example:
      pasture signer cancel-profile builds
    """
    profile = _profiles(data_dir).cancel(Scope(account, region), name, profile_version)
    click.echo(f"{profile.arn} is canceled.")


@signer.command("revoke-profile")
@click.argument("name")
@_version
@_account
@_region
@click.option("--since", help="Only signatures made at this time or later, as 2026-03-04T10:11:12Z; without it, all.")
@_reason
@options.data_dir
def revoke_profile(
    name: str, profile_version: str | None, account: str, region: str, since: str | None, reason: str, data_dir: Path
) -> None:
    """Take back what a signing profile has signed, for good. It signs no more.

    \b
    Example:
      pasture signer revoke-profile builds --reason "the key was copied"
    """
    profile = _profiles(data_dir).revoke(
        Scope(account, region), name, reason, version=profile_version, since=0.0 if since is None else _time(since)
    )
    click.echo(f"{profile.arn} is revoked.")


@signer.command("revoke-signature")
@click.argument("archive", type=_file, metavar="ZIP", required=False)
@click.option("--job", metavar="ARN", help="The signing job, instead of an archive.")
@click.option("--profile-version", "profile_arn", metavar="ARN", help="With --job: the profile that has signed.")
@_reason
@options.data_dir
def revoke_signature(
    archive: Path | None, job: str | None, profile_arn: str | None, reason: str, data_dir: Path
) -> None:
    """Take back one signature, for good.

    \b
    Example:
      pasture signer revoke-signature signed.zip --reason "a bad build"
    """
    if archive is not None:
        said = _read(archive, data_dir).statement
        profile_arn, job = said.profile, said.job
    if job is None or profile_arn is None:
        raise click.UsageError("Name an archive, or --job and --profile-version.")
    if not JOB_ARN.fullmatch(job):
        raise click.UsageError(f"'{job}' is not the ARN of a signing job.")
    _profiles(data_dir).revoke_job(profile_arn, job, reason)
    click.echo(f"{job} is revoked.")


@signer.command("export-profile")
@click.argument("name")
@_version
@_account
@_region
@options.data_dir
def export_profile(name: str, profile_version: str | None, account: str, region: str, data_dir: Path) -> None:
    """Write a signing profile without its private key, for the servers that verify what it signs.

    \b
    Example:
      pasture signer export-profile builds > builds.json
    """
    profile = _profiles(data_dir).newest(Scope(account, region), name, profile_version)
    click.echo(msgspec.json.format(msgspec.json.encode(profile)).decode())


@signer.command("import-profile")
@click.argument("file", type=click.File("rb"), metavar="FILE")
@options.data_dir
def import_profile(file: Any, data_dir: Path) -> None:
    """Let this data directory's server verify what a profile signs that was made elsewhere.

    Of a profile that is known already, what was canceled or revoked since is taken over.

    \b
    Example:
      pasture signer import-profile builds.json
    """
    try:
        theirs = msgspec.json.decode(file.read(), type=ProfileVersion)
    except msgspec.MsgspecError as error:
        raise Failure(f"This is no signing profile: {error}. `pasture signer export-profile` writes one.") from error
    profile = _profiles(data_dir).take_in(theirs)
    note("Code signing configurations allow it by its ARN.")
    click.echo(profile.arn)


def _profiles(data_dir: Path) -> Profiles:
    return Profiles(data_dir / DIRECTORY)


def _read(archive: Path, data_dir: Path) -> verifying.Reading:
    with archive.open("rb") as file:
        try:
            reading = verifying.read(file, _profiles(data_dir))
        except Tampered as error:
            raise Failure(f"{archive} was changed after it was signed: {error}.") from error
    if reading is None:
        raise Failure(f"{archive} is not signed.")
    return reading


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is no time. It looks like 2026-03-04T10:11:12Z.") from error
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _details(profile: ProfileVersion) -> dict[str, Any]:
    details: dict[str, Any] = {
        "ProfileName": profile.name,
        "ProfileVersion": profile.version,
        "ProfileVersionArn": profile.arn,
        "Status": profile.status,
        "SignatureValidityPeriod": profile.validity,
        "Created": iso_millis(profile.created),
        "PublicKey": profile.public_key.hex(),
    }
    if profile.canceled is not None:
        details["Canceled"] = iso_millis(profile.canceled)
    if profile.revoked is not None:
        details["Revocation"] = {
            "Revoked": iso_millis(profile.revoked.made),
            "EffectiveSince": iso_millis(profile.revoked.since) if profile.revoked.since else "always",
            "Reason": profile.revoked.reason,
        }
    if profile.revoked_jobs:
        details["RevokedSignatures"] = [
            {"SigningJobArn": job, "Revoked": iso_millis(revocation.made), "Reason": revocation.reason}
            for job, revocation in profile.revoked_jobs.items()
        ]
    return details
