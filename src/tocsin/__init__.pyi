from tocsin.core.errors import CheckFailed as CheckFailed
from tocsin.core.errors import InputError as InputError
from tocsin.core.errors import TocsinError as TocsinError
from tocsin.core.types import Verdict as Verdict
from tocsin.face.estimator import SealedClassifier as SealedClassifier
from tocsin.face.judging import compare as compare
from tocsin.face.judging import evaluate as evaluate
from tocsin.face.model import Model as Model
from tocsin.face.model import open as open  # noqa: A004 - as in `gzip.open`
from tocsin.face.training import audit_data as audit_data
from tocsin.face.training import make_data as make_data
from tocsin.face.training import train as train

__version__: str
