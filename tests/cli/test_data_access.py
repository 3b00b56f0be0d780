from curate.cli.data_access import split_access
from curate.cli.hydra_config import compose_access, compose_settings
from curate.settings.dataset import DatasetSettings

RECORDED = DatasetSettings(
    name="d",
    shards=["/a/*.tar"],
    options={"name": "x", "token": "***"},
    storage_options={"secret": "***", "anon": False},
)


def test_what_changes_how_data_are_reached_is_told_from_what_changes_which_they_are():
    ours = ["dataset.moved={/a: /b}", "~dataset.storage_options.secret", "+dataset.storage_options.key=k"]
    ours += ["dataset.options.token=t", "dataset.shards=https://h/a.tar?sig=s"]
    others = ["dataset.options.name=y", "dataset.limit=3", "dataset.shard=x", "filter=strict", "sources=false"]
    assert split_access([*ours, *others]) == (ours, others)


def test_what_is_not_said_again_stays_as_recorded():
    assert compose_access([], RECORDED) == RECORDED
    given = ["dataset.storage_options.secret=5ec2e75ec2e7", "dataset.moved={/a: s3://b/c}"]
    found = compose_access(given, RECORDED)
    assert found == RECORDED.model_copy(
        update={"storage_options": {"secret": "5ec2e75ec2e7", "anon": False}, "moved": {"/a": "s3://b/c"}}
    )


def test_a_secret_can_be_left_to_the_environment():
    assert compose_access(["~dataset.storage_options.secret"], RECORDED).storage_options == {"anon": False}


def test_data_are_not_named_after_who_reads_them():
    settings = compose_settings(["+dataset=webdataset", "dataset.shards=https://me:5ec2e7@host/{0..9}.tar"])
    assert "5ec2e7" not in settings.dataset.name
    assert "5ec2e7" not in settings.output.dir
