"""Code signing configurations and the code they let in: what a client sends, and the whole of what it gets."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.management import ARN, ROLE, WHEN, Management, management, zip_of
from pasture.domain.errors import ApiError
from pasture.domain.scope import Scope
from pasture.signing.profiles import Profiles, ProfileVersion
from pasture.signing.signer import Signer

FOREIGN = "arn:aws:signer:us-east-1:111122223333:/signing-profiles/theirs/0123456789"
NOWHERE = "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0"
YEAR = 366 * 86_400
MISMATCH = (
    "CodeVerificationFailedException",
    (
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the client is "
        "not configured to accept. Check the provided signature for {}."
    ),
)


class Signing:
    """A node, and a desk at which packages are signed for it."""

    def __init__(self, node: Management, directory: Path) -> None:
        self.node = node
        self.profiles = node.profiles
        self.profile = self.profiles.create(Scope(), "builds", "1y")
        self._directory = directory

    def signed(self, code: str = "one", profile: ProfileVersion | None = None) -> bytes:
        source, target = self._directory / "in.zip", self._directory / "out.zip"
        source.write_bytes(zip_of(code))
        Signer(self.profiles, self.node.clock).sign(Scope(), (profile or self.profile).name, source, target)
        return target.read_bytes()

    async def config(self, policy: str = "Enforce", publisher: str | None = None) -> str:
        answer = await self.node.call(
            "CreateCodeSigningConfig",
            AllowedPublishers={"SigningProfileVersionArns": [publisher or self.profile.arn]},
            CodeSigningPolicies={"UntrustedArtifactOnDeployment": policy},
        )
        arn: str = answer["CodeSigningConfig"]["CodeSigningConfigArn"]
        return arn

    async def created(self, package: bytes, name: str = "f", **more: Any) -> dict[str, Any]:
        return await self.node.created(name, Code={"ZipFile": package}, **more)

    async def refused(self, package: bytes, name: str = "f", **more: Any) -> tuple[str, str]:
        settings = {"Runtime": "python3.12", "Handler": "main.h", "Role": ROLE, **more}
        return await self.node.refusal("CreateFunction", FunctionName=name, Code={"ZipFile": package}, **settings)


@pytest.fixture
async def signing(tmp_path: Path) -> AsyncIterator[Signing]:
    async with management(tmp_path / "node") as running:
        (tmp_path / "desk").mkdir()
        yield Signing(running, tmp_path / "desk")


def tampered(package: bytes) -> bytes:
    """Another file's name: still an archive, and still with a signature."""
    return package.replace(b"main.py", b"mair.py")


# Configurations...


async def test_a_configuration_has_awss_defaults(signing: Signing) -> None:
    publishers = {"SigningProfileVersionArns": [signing.profile.arn, FOREIGN]}
    answer = await signing.node.call("CreateCodeSigningConfig", AllowedPublishers=publishers)
    config = answer["CodeSigningConfig"]
    identifier = config["CodeSigningConfigId"]
    assert config == {
        "CodeSigningConfigId": identifier,
        "CodeSigningConfigArn": f"arn:aws:lambda:us-east-1:000000000000:code-signing-config:{identifier}",
        "AllowedPublishers": publishers,
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Warn"},
        "LastModified": WHEN,
    }
    assert (
        await signing.node.call("GetCodeSigningConfig", CodeSigningConfigArn=config["CodeSigningConfigArn"]) == answer
    )


async def test_an_update_changes_what_it_names(signing: Signing) -> None:
    arn = await signing.config("Enforce")
    before = (await signing.node.call("GetCodeSigningConfig", CodeSigningConfigArn=arn))["CodeSigningConfig"]
    signing.node.clock.advance(1)
    answer = await signing.node.call("UpdateCodeSigningConfig", CodeSigningConfigArn=arn, Description="ours")
    modified = WHEN.replace(":20.", ":21.")
    assert answer == {"CodeSigningConfig": {**before, "Description": "ours", "LastModified": modified}}
    publishers = {"SigningProfileVersionArns": [FOREIGN]}
    policies = {"UntrustedArtifactOnDeployment": "Warn"}
    answer = await signing.node.call(
        "UpdateCodeSigningConfig", CodeSigningConfigArn=arn, AllowedPublishers=publishers, CodeSigningPolicies=policies
    )
    assert answer["CodeSigningConfig"] == {
        **before,
        "Description": "ours",
        "LastModified": modified,
        "AllowedPublishers": publishers,
        "CodeSigningPolicies": policies,
    }


@pytest.mark.parametrize(
    "publisher",
    [
        "arn:aws:signer:us-east-1:111122223333:/signing-profiles/theirs",
        "arn:aws:signer:us-east-1:111122223333:/signing-jobs/theirs/0123456789",
        "arn:aws:iam::111122223333:role/r",
    ],
)
async def test_a_publisher_is_a_version_of_a_signing_profile(signing: Signing, publisher: str) -> None:
    publishers = {"SigningProfileVersionArns": [publisher]}
    code, message = await signing.node.refusal("CreateCodeSigningConfig", AllowedPublishers=publishers)
    assert code == "InvalidParameterValueException"
    assert message.startswith(f"{publisher} is not the ARN of a version of a signing profile.")


async def test_a_deleted_configuration_is_gone(signing: Signing) -> None:
    arn = await signing.config()
    assert await signing.node.call("DeleteCodeSigningConfig", CodeSigningConfigArn=arn) == {}
    gone = ("ResourceNotFoundException", f"The Lambda code signing configuration {arn} can not be found.")
    for operation in (
        "GetCodeSigningConfig",
        "UpdateCodeSigningConfig",
        "DeleteCodeSigningConfig",
        "ListFunctionsByCodeSigningConfig",
    ):
        assert await signing.node.refusal(operation, CodeSigningConfigArn=arn) == gone
    assert await signing.node.call("ListCodeSigningConfigs") == {"CodeSigningConfigs": []}


async def test_configurations_belong_to_an_account_and_a_region(signing: Signing) -> None:
    arn = await signing.config()
    for scope in (Scope("111122223333"), Scope(region="eu-west-1")):
        assert await signing.node.refusal("GetCodeSigningConfig", CodeSigningConfigArn=arn, scope=scope) == (
            "ResourceNotFoundException",
            f"The Lambda code signing configuration {arn} can not be found.",
        )
        assert await signing.node.call("ListCodeSigningConfigs", scope=scope) == {"CodeSigningConfigs": []}


async def test_configurations_are_listed_by_pages(signing: Signing) -> None:
    arns = [await signing.config() for _ in range(5)]
    found, marker = [], None
    while True:
        request: dict[str, Any] = {"MaxItems": 2, **({"Marker": marker} if marker else {})}
        answer = await signing.node.call("ListCodeSigningConfigs", **request)
        found += [config["CodeSigningConfigArn"] for config in answer["CodeSigningConfigs"]]
        marker = answer.get("NextMarker")
        if marker is None:
            break
        assert len(answer["CodeSigningConfigs"]) == 2
    assert found == sorted(arns)


async def test_configurations_have_tags(signing: Signing) -> None:
    publishers = {"SigningProfileVersionArns": [FOREIGN]}
    answer = await signing.node.call("CreateCodeSigningConfig", AllowedPublishers=publishers, Tags={"a": "1", "b": "2"})
    arn = answer["CodeSigningConfig"]["CodeSigningConfigArn"]
    await signing.node.call("TagResource", Resource=arn, Tags={"b": "3", "c": "4"})
    await signing.node.call("UntagResource", Resource=arn, TagKeys=["a", "z"])
    assert await signing.node.call("ListTags", Resource=arn) == {"Tags": {"b": "3", "c": "4"}}
    assert await signing.node.call("GetCodeSigningConfig", CodeSigningConfigArn=arn) == answer
    assert await signing.node.refusal("TagResource", Resource=arn, Tags={f"t{n}": "" for n in range(49)}) == (
        "InvalidParameterValueException",
        "Number of tags exceeds resource tag limit.",
    )
    assert await signing.node.refusal("ListTags", Resource=NOWHERE) == (
        "ResourceNotFoundException",
        f"The Lambda code signing configuration {NOWHERE} can not be found.",
    )


# Functions with one...


async def test_a_function_gets_a_configuration_and_loses_it(signing: Signing) -> None:
    arn = await signing.config()
    await signing.node.created()
    assert await signing.node.call("GetFunctionCodeSigningConfig", FunctionName="f") == {}
    attached: dict[str, Any] = {"CodeSigningConfigArn": arn, "FunctionName": "f"}
    assert await signing.node.call("PutFunctionCodeSigningConfig", **attached) == attached
    assert await signing.node.call("GetFunctionCodeSigningConfig", FunctionName=ARN) == attached
    assert await signing.node.call("DeleteFunctionCodeSigningConfig", FunctionName="f") == {}
    assert await signing.node.call("GetFunctionCodeSigningConfig", FunctionName="f") == {}


async def test_what_is_not_there_is_not_attached(signing: Signing) -> None:
    none = (
        "CodeSigningConfigNotFoundException",
        (
            "The code signing configuration cannot be found. Check that the provided configuration is not deleted: "
            f"{NOWHERE}."
        ),
    )
    await signing.node.created()
    put = "PutFunctionCodeSigningConfig"
    assert await signing.node.refusal(put, FunctionName="f", CodeSigningConfigArn=NOWHERE) == none
    assert await signing.node.refusal(put, FunctionName="g", CodeSigningConfigArn=NOWHERE) == none
    assert await signing.refused(signing.signed(), "g", CodeSigningConfigArn=NOWHERE) == none
    elsewhere = (await signing.config()).replace("000000000000", "111122223333")
    code, _ = await signing.node.refusal(put, FunctionName="f", CodeSigningConfigArn=elsewhere)
    assert code == "CodeSigningConfigNotFoundException"
    arn = await signing.config()
    missing = ("ResourceNotFoundException", f"Function not found: {ARN[:-1]}g")
    assert await signing.node.refusal(put, FunctionName="g", CodeSigningConfigArn=arn) == missing
    assert await signing.node.refusal("GetFunctionCodeSigningConfig", FunctionName="g") == missing
    assert await signing.node.refusal("DeleteFunctionCodeSigningConfig", FunctionName="g") == missing
    code, message = await signing.node.refusal(put, FunctionName="f:1", CodeSigningConfigArn=arn)
    assert (code, message[:58]) == (
        "InvalidParameterValueException",
        "This operation is permitted on Lambda functions only. Alia",
    )


async def test_a_configuration_knows_its_functions_and_is_not_deleted_while_it_has_some(signing: Signing) -> None:
    one, other = await signing.config(), await signing.config()
    for name in "abcde":
        await signing.created(signing.signed(), name, CodeSigningConfigArn=one)
    await signing.node.call("PutFunctionCodeSigningConfig", FunctionName="b", CodeSigningConfigArn=other)
    await signing.node.call("DeleteFunctionCodeSigningConfig", FunctionName="c")
    await signing.node.call("DeleteFunction", FunctionName="d")

    async def functions(arn: str, **more: Any) -> dict[str, Any]:
        return await signing.node.call("ListFunctionsByCodeSigningConfig", CodeSigningConfigArn=arn, **more)

    page = await functions(one, MaxItems=1)
    assert page == {"FunctionArns": [f"{ARN[:-1]}a"], "NextMarker": page["NextMarker"]}
    assert await functions(one, Marker=page["NextMarker"]) == {"FunctionArns": [f"{ARN[:-1]}e"]}
    assert await functions(other) == {"FunctionArns": [f"{ARN[:-1]}b"]}
    code, message = await signing.node.refusal("DeleteCodeSigningConfig", CodeSigningConfigArn=other)
    assert code == "ResourceConflictException"
    assert "is in use by the function b" in message
    await signing.node.call("DeleteFunction", FunctionName="b")
    await signing.node.call("DeleteCodeSigningConfig", CodeSigningConfigArn=other)


# Code...


async def test_signed_code_comes_in_and_says_who_has_signed_it(signing: Signing) -> None:
    arn = await signing.config()
    answer = await signing.created(signing.signed(), CodeSigningConfigArn=arn, Publish=True)
    assert answer["SigningProfileVersionArn"] == signing.profile.arn
    assert answer["SigningJobArn"].startswith("arn:aws:signer:us-east-1:000000000000:/signing-jobs/")
    for qualifier in ("$LATEST", "1"):
        shown = await signing.node.call("GetFunctionConfiguration", FunctionName="f", Qualifier=qualifier)
        assert shown["SigningJobArn"] == answer["SigningJobArn"]
    updated = await signing.node.call("UpdateFunctionCode", FunctionName="f", ZipFile=signing.signed("two"))
    assert updated["SigningProfileVersionArn"] == signing.profile.arn
    assert updated["SigningJobArn"] != answer["SigningJobArn"]


async def test_signed_code_says_so_without_a_configuration_too(signing: Signing) -> None:
    assert (await signing.created(signing.signed()))["SigningProfileVersionArn"] == signing.profile.arn
    assert "SigningProfileVersionArn" not in await signing.created(zip_of("one"), "g")
    assert "SigningProfileVersionArn" not in await signing.created(tampered(signing.signed()), "h")


async def test_unsigned_code_is_refused_where_that_is_enforced(signing: Signing) -> None:
    arn = await signing.config("Enforce")
    code, words = MISMATCH
    assert await signing.refused(zip_of("one"), CodeSigningConfigArn=arn) == (code, words.format("f"))
    assert (await signing.node.refusal("GetFunction", FunctionName="f"))[0] == "ResourceNotFoundException"
    await signing.created(signing.signed(), CodeSigningConfigArn=arn)
    before = await signing.node.call("GetFunctionConfiguration", FunctionName="f")
    for dry_run in (True, False):
        assert await signing.node.refusal(
            "UpdateFunctionCode", FunctionName="f", ZipFile=zip_of("two"), DryRun=dry_run
        ) == (code, words.format(ARN))
    assert await signing.node.call("GetFunctionConfiguration", FunctionName="f") == before


async def test_a_refused_package_is_not_kept(signing: Signing) -> None:
    arn = await signing.config("Enforce")
    await signing.refused(zip_of("one"), CodeSigningConfigArn=arn)
    catalog, packages = signing.node.catalog, signing.node.packages
    for sha256 in await packages.stored():
        assert await packages.remove_unless_needed(sha256, catalog.is_referenced)
    assert await packages.stored() == set()


async def test_a_warning_lets_everything_in_but_what_was_tampered_with(
    signing: Signing, caplog: pytest.LogCaptureFixture
) -> None:
    arn = await signing.config("Warn")
    with caplog.at_level(logging.WARNING):
        await signing.created(zip_of("one"), CodeSigningConfigArn=arn)
    [record] = [r.getMessage() for r in caplog.records if r.getMessage().startswith("SignatureValidationErrors: ")]
    assert "of the function f fails the check of mismatch" in record
    assert record.endswith("deployed all the same")
    assert await signing.refused(tampered(signing.signed()), "g", CodeSigningConfigArn=arn) == (
        "InvalidCodeSignatureException",
        (
            "Lambda cannot deploy the function. The function or layer was changed after it was signed. "
            "Check the provided signature for g."
        ),
    )


async def test_what_a_dry_run_says_of_signed_code_is_what_comes_of_it(signing: Signing) -> None:
    await signing.created(signing.signed(), CodeSigningConfigArn=await signing.config())
    package = signing.signed("two")
    dry = await signing.node.call("UpdateFunctionCode", FunctionName="f", ZipFile=package, DryRun=True)
    wet = await signing.node.call("UpdateFunctionCode", FunctionName="f", ZipFile=package)
    assert dry["SigningJobArn"] == wet["SigningJobArn"]


@pytest.mark.parametrize("policy", ["Enforce", "Warn"])
async def test_expired_and_revoked_signatures_are_refused_by_policy(signing: Signing, policy: str) -> None:
    arn = await signing.config(policy)
    old = signing.signed("old")
    signing.node.clock.advance(YEAR)
    revoked = signing.signed("revoked")
    signing.profiles.revoke(Scope(), "builds", "stolen", since=signing.node.clock.now())
    for name, package, words in (("e", old, "has expired"), ("r", revoked, "has been revoked")):
        if policy == "Warn":
            await signing.created(package, name, CodeSigningConfigArn=arn)
            continue
        assert await signing.refused(package, name, CodeSigningConfigArn=arn) == (
            "CodeVerificationFailedException",
            (
                f"Lambda cannot deploy the function. The signature of the function or layer {words}. "
                f"Check the provided signature for {name}."
            ),
        )


async def test_a_signature_of_a_profile_that_is_not_allowed_is_a_mismatch(signing: Signing) -> None:
    arn = await signing.config(publisher=FOREIGN)
    code, words = MISMATCH
    assert await signing.refused(signing.signed(), CodeSigningConfigArn=arn) == (code, words.format("f"))


async def test_a_configuration_says_nothing_about_code_that_is_there(signing: Signing) -> None:
    await signing.node.created()
    arn = await signing.config("Warn")
    await signing.node.call("PutFunctionCodeSigningConfig", FunctionName="f", CodeSigningConfigArn=arn)
    await signing.node.updated(Timeout=9)
    await signing.node.published()
    policies = {"UntrustedArtifactOnDeployment": "Enforce"}
    await signing.node.call("UpdateCodeSigningConfig", CodeSigningConfigArn=arn, CodeSigningPolicies=policies)
    await signing.node.updated(Timeout=10)
    code, words = MISMATCH
    refusal = await signing.node.refusal("UpdateFunctionCode", FunctionName="f", ZipFile=zip_of("two"))
    assert refusal == (code, words.format(ARN))


# Layers...


async def layer(signing: Signing, package: bytes, name: str = "l") -> dict[str, Any]:
    return await signing.node.call("PublishLayerVersion", LayerName=name, Content={"ZipFile": package})


async def test_a_signed_layer_says_who_has_signed_it(signing: Signing) -> None:
    published = await layer(signing, signing.signed("layer"))
    assert published["Content"]["SigningProfileVersionArn"] == signing.profile.arn
    got = await signing.node.call("GetLayerVersion", LayerName="l", VersionNumber=1)
    assert got["Content"]["SigningJobArn"] == published["Content"]["SigningJobArn"]
    created = await signing.created(zip_of("one"), Layers=[published["LayerVersionArn"]])
    assert created["Layers"] == [
        {
            "Arn": published["LayerVersionArn"],
            "CodeSize": published["Content"]["CodeSize"],
            "SigningProfileVersionArn": signing.profile.arn,
            "SigningJobArn": published["Content"]["SigningJobArn"],
        }
    ]


async def test_layers_are_held_to_the_same_when_they_are_set(signing: Signing) -> None:
    arn = await signing.config("Enforce")
    good = (await layer(signing, signing.signed("layer")))["LayerVersionArn"]
    bad = (await layer(signing, zip_of("bad"), "bad"))["LayerVersionArn"]
    code, words = MISMATCH
    refusal = await signing.refused(signing.signed(), CodeSigningConfigArn=arn, Layers=[good, bad])
    assert refusal == (code, words.format("f"))
    await signing.created(signing.signed(), CodeSigningConfigArn=arn, Layers=[good])
    update = "UpdateFunctionConfiguration"
    assert await signing.node.refusal(update, FunctionName="f", Layers=[bad]) == (code, words.format(ARN))
    await signing.node.updated(Layers=[])
    await signing.node.updated(Layers=[good], Timeout=5)
    signing.profiles.revoke(Scope(), "builds", "stolen")
    await signing.node.updated(Timeout=6)
    await signing.node.updated(Layers=[])
    code, message = await signing.node.refusal(update, FunctionName="f", Layers=[good])
    assert (code, "has been revoked" in message) == ("CodeVerificationFailedException", True)


async def test_a_layer_published_before_its_profile_was_known_is_good_once_it_is(
    signing: Signing, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Profiles(tmp_path / "elsewhere" / "signer", signing.node.clock)
    theirs = elsewhere.create(Scope("111122223333"), "theirs")
    source, target = tmp_path / "in.zip", tmp_path / "out.zip"
    source.write_bytes(zip_of("layer"))
    Signer(elsewhere, signing.node.clock).sign(Scope("111122223333"), "theirs", source, target)
    published = await layer(signing, target.read_bytes())
    assert "SigningJobArn" not in published["Content"]
    signing.profiles.take_in(theirs)
    arn = await signing.config(publisher=theirs.arn)
    await signing.node.created()
    await signing.node.call("PutFunctionCodeSigningConfig", FunctionName="f", CodeSigningConfigArn=arn)
    await signing.node.updated(Layers=[published["LayerVersionArn"]])
    shown = await signing.node.call("GetFunctionConfiguration", FunctionName="f")
    assert shown["Layers"][0]["SigningProfileVersionArn"] == theirs.arn


async def test_a_configuration_that_is_deleted_while_it_is_attached_is_had_by_nobody(signing: Signing) -> None:
    await signing.node.created()
    for _ in range(20):
        arn = await signing.config()
        put = signing.node.call("PutFunctionCodeSigningConfig", FunctionName="f", CodeSigningConfigArn=arn)
        delete = signing.node.call("DeleteCodeSigningConfig", CodeSigningConfigArn=arn)
        refused = [isinstance(a, ApiError) for a in await asyncio.gather(put, delete, return_exceptions=True)]
        has = await signing.node.call("GetFunctionCodeSigningConfig", FunctionName="f")
        assert refused == ([False, True] if has.get("CodeSigningConfigArn") == arn else [True, False])
        await signing.node.call("DeleteFunctionCodeSigningConfig", FunctionName="f")
