"""One training of a classifier."""

from __future__ import annotations

from xseg.data.loading.classification import preprocessing_of
from xseg.data.loading.datamodule import ClassificationData
from xseg.data.options import ClassDataOptions
from xseg.data.readers.class_folders import ClassFolders
from xseg.doctor.quick_look import look_at_classes
from xseg.images.normalization import Normalization
from xseg.models.classifier import ClassifierConfig
from xseg.training.checkpoints.resumption import Resumption
from xseg.training.classification import ClassificationTask, build_classifier
from xseg.training.options.task import ClassifierOptions
from xseg.training.run.base import TrainingRun


class ClassificationRun(TrainingRun[ClassFolders, ClassifierOptions, ClassDataOptions, ClassifierConfig]):
    """Everything that the training of a classifier is made of; see `TrainingRun`."""

    config, main_score = ClassifierConfig, ClassificationTask.main_score
    task: ClassificationTask
    datamodule: ClassificationData

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the classifier's input in pixels."""
        return self.request.data.size, self.request.data.size

    @property
    def data_name(self) -> str:
        """What bundles call the data."""
        return str(self.reader.root)

    def measure_normalization(self) -> Normalization:
        """Return the normalisation to [-1, 1] of what the first training image holds."""
        return look_at_classes(self.reader, "none").normalization

    def make_data(self) -> ClassificationData:
        """Return the loaders."""
        return ClassificationData(self.reader, self.request.data, self.normalization, self.request.seed)

    def make_task(self, resumption: Resumption[ClassifierConfig] | None) -> ClassificationTask:
        """Return what is trained; without the weights of a checkpoint, which follow."""
        model = build_classifier(
            self.request.model,
            classes=len(self.reader.labels),
            in_channels=self.reader.channels,
            restored=None if resumption is None else resumption.model,
        )
        return ClassificationTask(
            self.request.model,
            self.reader.labels,
            self.normalization,
            model=model,
            preprocessing=preprocessing_of(self.request.data).to_dict(),
            batch_size=self.request.data.batch_size,
            identity={"data": self.fingerprint},
        )
