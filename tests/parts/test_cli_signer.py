"""`pasture signer`, as it is typed."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.management import zip_of
from pasture.cli.main import main


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PASTURE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.zip").write_bytes(zip_of("one"))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ("signer", *arguments))


def good(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def bad(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code not in {0, None}
    assert not isinstance(result.exception, OSError | ValueError)
    return result.output.strip()


def test_a_profile_is_made_shown_and_signs() -> None:
    arn = good("create-profile", "builds", "--validity", "90d")
    assert good("show", "builds", "--arn") == arn
    shown = json.loads(good("show", "builds"))
    assert (shown["ProfileVersionArn"], shown["Status"], shown["SignatureValidityPeriod"]) == (arn, "Active", "90d")
    job = good("sign", "--profile", "builds", "in.zip", "out.zip")
    inspected = json.loads(good("inspect", "out.zip"))
    assert inspected.pop("Signed") < inspected.pop("Expires")
    assert inspected == {"Status": "Valid", "SigningProfileVersionArn": arn, "SigningJobArn": job}
    assert zipfile.ZipFile("out.zip").read("main.py") == b"one"


def test_profiles_are_listed_with_every_version() -> None:
    good("create-profile", "builds")
    good("cancel-profile", "builds")
    good("create-profile", "builds")
    statuses = [profile["Status"] for profile in json.loads(good("profiles", "--output", "json"))]
    assert statuses == ["Canceled", "Active"]
    assert good("profiles").splitlines()[0].split() == ["ARN", "STATUS", "VALIDITY", "CREATED"]


def test_a_job_says_its_arns_to_programs_too() -> None:
    arn = json.loads(good("create-profile", "builds", "--output", "json"))["ProfileVersionArn"]
    job = json.loads(good("sign", "--profile", "builds", "in.zip", "out.zip", "--output", "json"))
    assert job["SigningProfileVersionArn"] == arn


def test_an_archive_may_be_signed_in_its_place() -> None:
    good("create-profile", "builds")
    good("sign", "--profile", "builds", "in.zip", "in.zip")
    good("inspect", "in.zip")
    assert "it has a signature already" in bad("sign", "--profile", "builds", "in.zip", "in.zip")


def test_a_revoked_signature_is_no_longer_good() -> None:
    good("create-profile", "builds")
    good("sign", "--profile", "builds", "in.zip", "out.zip")
    good("sign", "--profile", "builds", "in.zip", "other.zip")
    good("revoke-signature", "out.zip", "--reason", "a bad build")
    assert json.loads(bad("inspect", "out.zip"))["Status"] == "Revoked"
    other = json.loads(good("inspect", "other.zip"))
    good("revoke-signature", "--job", other["SigningJobArn"], "--profile-version", other["SigningProfileVersionArn"])
    assert json.loads(bad("inspect", "other.zip"))["Status"] == "Revoked"
    assert [r["Reason"] for r in json.loads(good("show", "builds"))["RevokedSignatures"]] == ["a bad build", ""]


def test_a_revoked_profile_takes_its_signatures_with_it() -> None:
    good("create-profile", "builds")
    good("sign", "--profile", "builds", "in.zip", "out.zip")
    good("revoke-profile", "builds", "--since", "2999-01-01")
    good("inspect", "out.zip")
    good("revoke-profile", "builds", "--reason", "stolen")
    assert json.loads(bad("inspect", "out.zip"))["Status"] == "Revoked"
    assert json.loads(good("show", "builds"))["Revocation"]["Reason"] == "stolen"


def test_a_profile_goes_to_another_data_directory_without_its_key(place: Path) -> None:
    arn = good("create-profile", "builds")
    good("sign", "--profile", "builds", "in.zip", "out.zip")
    Path("builds.json").write_text(good("export-profile", "builds"))
    elsewhere = ("--data-dir", str(place / "server"))
    assert json.loads(bad("inspect", "out.zip", *elsewhere))["Status"] == "UnknownProfile"
    assert good("import-profile", "builds.json", *elsewhere).endswith(arn)
    good("inspect", "out.zip", *elsewhere)
    assert "private key is not here" in bad("sign", "--profile", "builds", "in.zip", "o.zip", *elsewhere)


def test_what_is_wrong_is_said_in_a_sentence() -> None:
    good("create-profile", "builds")
    Path("no.zip").write_text("no zip")
    Path("no.json").write_text("{}")
    assert "no signing profile others" in bad("sign", "--profile", "others", "in.zip", "out.zip")
    assert "cannot sign no.zip: it is no zip archive" in bad("sign", "--profile", "builds", "no.zip", "out.zip")
    assert "in.zip is not signed." in bad("inspect", "in.zip")
    assert "This is no signing profile" in bad("import-profile", "no.json")
    assert "no validity period" in bad("create-profile", "more", "--validity", "long")
    assert "is no time" in bad("revoke-profile", "builds", "--since", "yesterday")
    assert "Name an archive" in bad("revoke-signature")
    assert "is not the ARN of a signing job" in bad("revoke-signature", "--job", "x", "--profile-version", "y")
    good("sign", "--profile", "builds", "in.zip", "out.zip")
    Path("out.zip").write_bytes(Path("out.zip").read_bytes().replace(b"main.py", b"mair.py"))
    assert "out.zip was changed after it was signed" in bad("inspect", "out.zip")
