import pytest

from curate.cli.hydra_config import compose_settings
from curate.core import secrets
from curate.core.secrets import without_secrets
from curate.settings.run import Settings
from curate.settings.secrets import written

SECRET = "5ec2e75ec2e7"
GIVEN = [
    f"dataset.shards=https://h/a.tar?X-Amz-Signature={SECRET}",
    f"dataset.storage_options={{key: {SECRET}, client_kwargs: {{aws_session_token: {SECRET}}}}}",
    f"+dataset.options.token={SECRET}",
    f"engine.url=http://me:{SECRET}@h/v1",
    f"+engine.args.hf_token={SECRET}",
    f"+model.hf_overrides.api_key={SECRET}",
    f"job.setup=['export AWS_SECRET_ACCESS_KEY={SECRET}']",
    f"reuse=['s3://id:{SECRET}@bucket/run']",
    f"output.dir=s3://id:{SECRET}@bucket/run",
]


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(secrets, "_remembered", set())


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.slow
def test_no_secret_is_written_and_the_rest_can_be_read_back(given):
    settings = compose_settings(
        ["+dataset=webdataset", "dataset.shards=a.tar", "+dataset.storage_options.anon=false", given]
    )
    record = written(settings)
    assert SECRET not in str(record)
    assert secrets.MASK in str(record)
    assert Settings(**record).engine.api_key_env == "OPENAI_API_KEY"
    assert SECRET not in without_secrets(f"a library says {SECRET}")
