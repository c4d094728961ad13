"""Training run of a segmentation model."""

from __future__ import annotations

from dataclasses import replace

from xseg.data.loading.datamodule import SegmentationData
from xseg.data.options import DataOptions
from xseg.data.sample import Reader
from xseg.doctor.statistics import normalization_of
from xseg.errors import ConfigError
from xseg.images.normalization import Normalization
from xseg.metrics.ranking import BestThreshold
from xseg.metrics.registry import monitored_metrics
from xseg.models.config import ModelConfig
from xseg.training.checkpoints.resumption import Resumption
from xseg.training.construction import normalization_for
from xseg.training.objective import class_weights, given_weights
from xseg.training.options.task import TaskOptions
from xseg.training.run.base import TrainingRun
from xseg.training.segmentation import SegmentationTask


class SegmentationRun(TrainingRun[Reader, TaskOptions, DataOptions, ModelConfig]):
    """Data, task and Trainer of a segmentation model; see `TrainingRun`."""

    config, main_score = ModelConfig, SegmentationTask.main_score
    task: SegmentationTask
    datamodule: SegmentationData

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of a training crop in pixels."""
        return self.request.data.crop

    @property
    def data_name(self) -> str:
        """Name of the data in bundles."""
        return self.request.data.reader

    @property
    def drawn_images(self) -> list[str]:
        """Names of the validation images, some of which are drawn."""
        return [record.name for record in self.reader.records("val")]

    def measure_normalization(self) -> Normalization:
        """Return the normalisation of the images according to `data.normalization`."""
        data = self.request.data
        found = normalization_of(self.reader, data, workers=data.workers)
        chosen = found if data.normalization == "auto" else normalization_for(self.request.model, found)
        return replace(chosen, bands=data.bands)

    def make_data(self) -> SegmentationData:
        """Return the data module."""
        return SegmentationData(self.request.data, self.normalization, self.request.seed, reader=self.reader)

    def make_task(self, resumption: Resumption[ModelConfig] | None) -> SegmentationTask:
        """Return the task, without the weights of a checkpoint, which are loaded later."""
        weights = self._class_weights() if resumption is None else resumption.class_weights
        options = self.request.options
        return SegmentationTask(
            self.request.model,
            self.reader.labels,
            self.normalization,
            in_channels=self.reader.channels,
            class_weights=weights,
            metrics=(*options.metrics, *monitored_metrics(options.monitor), *self._thresholds()),
            restored=None if resumption is None else resumption.model,
        )

    def _thresholds(self) -> list[BestThreshold]:
        """Return the metric that chooses decision thresholds, if requested."""
        options, labels = self.request.options, self.reader.labels
        if options.threshold == "none":
            return []
        if len(labels) != 2 and not labels.overlapping:
            got = f"run.threshold={options.threshold} with {len(labels)} exclusive classes"
            raise ConfigError(got, expected="two classes, or task multilabel")
        return [BestThreshold(ignore_index=labels.ignore_index, precision=options.wanted_precision)]

    def _class_weights(self) -> tuple[float, ...] | None:
        """Return the class weights of the loss; masks are read only if weights are needed."""
        weighting = self.request.model.loss.class_weights
        if not isinstance(weighting, str):
            return given_weights(self.reader.labels.names, weighting)
        if weighting == "none":
            return None
        return class_weights(self.datamodule.class_pixels.sum(axis=0).tolist(), weighting)
