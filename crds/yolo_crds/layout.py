"""Where things lie on the two volumes. The run volume's paths are those of the older server.

<data>/ucd/ datasets/ weights/                the user's, never written by us
<data>/img_cache/                             the user's too; images from a UCD server are added
<data>/prepared/<hash>/                       verified data sets, shared by all trainings
<data>/prepared/.index/ .unpacked/ .fetched/  remembered, unpacked, fetched; losing it costs time
<dataset>/                                    the image volume of `data.image`, read-only, prepare alone
<runs>/train/<m>/.attempts/<token>/           what one attempt writes, and nobody else
<runs>/train/<m>/.claims/                     whose the folder is: the newest entry's
<runs>/train/<m>/.publish/<claim>-<token>-*/  what an attempt publishes through; gone once it is overtaken
<runs>/train/<m>/{args.yaml,results.csv,weights/*.pt}, <runs>/train_info/<m>/logs/*.log
                                              published by rename, real files, never read back
"""

from dataclasses import dataclass
from pathlib import Path

DATA_DIR = Path("/data")
RUNS_DIR = Path("/runs")
ARTIFACT_DIR = Path("/dataset")
"""Where the files of `template.data.image` are mounted."""
CACHE_DIR = Path("/cache")
"""Where a training pod keeps decoded images (`template.cache`): the node's disk, gone with the pod."""


RESULT = "result.json"
"""In an attempt's folder: the full truth of its end, a `trainer.Result`."""


@dataclass(frozen=True)
class DataVolume:
    """Paths on the data volume that is mounted at `root`."""

    root: Path = DATA_DIR

    @property
    def images(self) -> Path:
        return self.root / "img_cache"

    @property
    def ucd(self) -> Path:
        return self.root / "ucd"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def weights(self) -> Path:
        return self.root / "weights"

    @property
    def prepared(self) -> Path:
        return self.root / "prepared"

    @property
    def index(self) -> Path:
        """Which prepared set came of which state of a source."""
        return self.prepared / ".index"

    @property
    def unpacked(self) -> Path:
        """Archives by the sha256 of their bytes, unpacked."""
        return self.prepared / ".unpacked"

    @property
    def fetched(self) -> Path:
        """Archives and UCD files that came over the network."""
        return self.prepared / ".fetched"

    def places(self, reference: str) -> list[str]:
        """Where the data set that `template.data.train` or `val` names may lie: absolute paths, or paths
        relative to the root; the first that exists is it."""
        name = reference.replace("\\", "/").rstrip("/")
        if name.startswith("/"):
            return [name]
        ucd = f"{self.ucd.name}/{name}"
        return [name, f"{ucd}.json", ucd, f"{ucd}.uci", f"{self.datasets.name}/{name}"]


@dataclass(frozen=True)
class RunFolder:
    """Paths of one model's run on the run volume that is mounted at `root`."""

    model_name: str
    root: Path = RUNS_DIR

    @property
    def train(self) -> Path:
        return self.root / "train" / self.model_name

    @property
    def info(self) -> Path:
        return self.root / "train_info" / self.model_name

    @property
    def logs(self) -> Path:
        return self.info / "logs"

    @property
    def std_log(self) -> Path:
        return self.logs / "train_std.log"

    @property
    def err_log(self) -> Path:
        return self.logs / "train_err.log"

    @property
    def weights(self) -> Path:
        return self.train / "weights"

    @property
    def claims(self) -> Path:
        """Who took the folder, in this order."""
        return self.train / ".claims"

    @property
    def attempts(self) -> Path:
        return self.train / ".attempts"

    @property
    def adopted(self) -> Path:
        """What stood at the old paths before the first claim."""
        return self.attempts / "adopted"

    def attempt(self, token: str) -> Path:
        """The folder of the attempt `meta.attempt_token(...)`."""
        return self.attempts / token

    def result(self, token: str) -> Path:
        """The `RESULT` of one attempt."""
        return self.attempt(token) / RESULT

    def prepared(self, token: str) -> Path:
        """What prepare hands to train, a `trainer.Prepared`."""
        return self.attempt(token) / "prepare.json"
