"""Training run of a classifier."""

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
    """Data, task and Trainer of a classifier; see `TrainingRun`."""

    config, main_score = ClassifierConfig, ClassificationTask.main_score
    task: ClassificationTask
    datamodule: ClassificationData

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        return self.request.data.size, self.request.data.size

    @property
    def data_name(self) -> str:
        """Name of the data in bundles."""
        return str(self.reader.root)

    def measure_normalization(self) -> Normalization:
        """Return the normalisation to [-1, 1] for the channels and value range of the first training image."""
        return look_at_classes(self.reader, "none").normalization

    def make_data(self) -> ClassificationData:
        """Return the data module."""
        return ClassificationData(self.reader, self.request.data, self.normalization, self.request.seed)

    def make_task(self, resumption: Resumption[ClassifierConfig] | None) -> ClassificationTask:
        """Return the task, without the weights of a checkpoint, which are loaded later."""
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
        )
