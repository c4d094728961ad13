import pytest
import torch

from xseg.bundles.bundle import Bundle, load_bundle, save_bundle
from xseg.errors import ConfigError, WeightsError
from xseg.factory import create_model
from xseg.images.normalization import Normalization
from xseg.labels.label_map import LabelMap
from xseg.nn.initialization import repeat_kernels
from xseg.training.batch_norm import normalization_layers
from xseg.training.construction import construct_model, normalization_for, restored_model
from xseg.training.optimizers import encoder_blocks
from xseg.training.options.recipe import OptimizerOptions
from xseg.training.options.task import TaskOptions

LABELS = LabelMap(("road", "sky", "car"))


@pytest.fixture
def bundle(tiny, tmp_path):
    torch.manual_seed(1)
    model = construct_model(tiny.tiny_options(), LABELS, in_channels=3)
    save_bundle(Bundle(model, LABELS, Normalization()), tmp_path / "other")
    return tmp_path / "other"


def test_another_models_weights_are_gone_on_from_and_classes_keep_their_rows_by_name(tiny, bundle):
    labels = LabelMap(("car", "tree", "road"))
    options = tiny.tiny_options(start_from=str(bundle), output_stride=4, dropout=0.4)
    model = construct_model(options, labels, in_channels=3)
    other = load_bundle(bundle).model.state_dict()
    for name, tensor in model.state_dict().items():
        if not name.startswith("segmentation_head"):
            assert torch.equal(tensor, other[name]), name
    rows, old = model.segmentation_head.weight, other["segmentation_head.weight"]
    assert torch.equal(rows[0], old[2])
    assert torch.equal(rows[2], old[0])
    assert model.config.output_stride == 4
    assert model.config.dropout == 0.4


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_the_weights_of_a_model_of_other_bands_are_repeated_in_its_first_kernel(tiny, bundle, channels):
    model = construct_model(tiny.tiny_options(start_from=str(bundle)), LABELS, in_channels=channels).eval()
    theirs, ours = load_bundle(bundle).model.eval(), model.state_dict()
    (first,) = (name for name, value in theirs.state_dict().items() if value.shape != ours[name].shape)
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours[name], repeat_kernels(value, channels) if name == first else value), name
    grey = torch.randn(1, 1, 33, 33)
    assert model(grey.expand(-1, channels, -1, -1)).shape == (1, 3, 33, 33)
    if channels == 1:
        torch.testing.assert_close(model(grey), theirs(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "value"), [("decoder_channels", 16), ("width", 0.25), ("encoder", "xception41")])
def test_weights_of_another_architecture_are_refused(tiny, bundle, name, value):
    options = tiny.tiny_options(start_from=str(bundle), **{name: value})
    with pytest.raises(WeightsError, match=f"belongs to another model: {name}="):
        construct_model(options, LABELS, in_channels=3)


def test_two_origins_of_the_first_weights_are_refused(tiny):
    with pytest.raises(ConfigError, match="one of them"):
        tiny.tiny_options(start_from="a", encoder_weights="b")


def test_the_bundle_keeps_the_momentum_for_who_trains_on(tiny, tmp_path):
    model = construct_model(tiny.tiny_options(batch_norm_momentum=0.2), LABELS, in_channels=3)
    save_bundle(Bundle(model, LABELS, Normalization()), tmp_path / "bundle")
    for layer in (*normalization_layers(model), *normalization_layers(load_bundle(tmp_path / "bundle").model)):
        assert layer.momentum == 0.2


def test_a_checkpoints_model_is_rebuilt_as_it_was(tiny):
    """Also what came from weights, and is in no option: the epsilon."""
    config = construct_model(tiny.tiny_options(), LABELS, in_channels=3).config
    found = type(config)(**{**vars(config), "encoder_norm_eps": 0.5})
    model = restored_model(tiny.tiny_options(), found)
    assert {layer.eps for layer in normalization_layers(model.encoder)} == {0.5}
    with pytest.raises(WeightsError, match=r"the checkpoint to resume belongs to another model: dropout=0.1"):
        restored_model(tiny.tiny_options(dropout=0.3), found)


def test_gradient_checkpointing_changes_no_gradient(tiny):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = construct_model(
            tiny.tiny_options(gradient_checkpointing=checkpointing, dropout=0), LABELS, in_channels=3
        )
        model.train()(torch.randn(2, 3, 33, 33, generator=torch.Generator().manual_seed(1))).square().mean().backward()
        assert model.encoder.grad_checkpointing == checkpointing
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-test_convnext"])
def test_a_model_over_an_encoder_of_smp_trains(tiny, encoder, tmp_path):
    options = {"encoder": encoder, "width": 1.0, "depth": 5, "output_stride": 16, "freeze_encoder_blocks": 1}
    task = tiny.tiny_task(**options, optimizer=OptimizerOptions(lr=3e-3, layer_decay=0.5))
    before = {name: tensor.clone() for name, tensor in task.model.named_parameters()}
    tiny.tiny_trainer(tmp_path, epochs=1).fit(task, tiny.HalvesData())
    moved = {name for name, tensor in task.model.named_parameters() if not torch.equal(tensor, before[name])}
    frozen = {id(parameter) for parameter in encoder_blocks(task.model)[0].parameters()}
    assert moved == {name for name, tensor in task.model.named_parameters() if id(tensor) not in frozen}


def test_blocks_of_an_encoder_of_smp_hold_all_its_parameters():
    for name in ("resnet18", "mobilenet_v2", "mit_b0", "tu-test_convnext"):
        model = create_model(encoder=name, decoder_channels=8)
        blocks = encoder_blocks(model)
        assert len(blocks) > 3
        parameters = [id(parameter) for block in blocks for parameter in block.parameters()]
        assert sorted(parameters) == sorted(id(parameter) for parameter in model.encoder.parameters())


def test_gradient_checkpointing_is_refused_where_an_encoder_has_none(tiny):
    options = tiny.tiny_options(encoder="resnet18", width=1.0, gradient_checkpointing=True)
    with pytest.raises(ConfigError, match="gradient_checkpointing with encoder 'resnet18'; expected one of xception"):
        construct_model(options, LABELS, in_channels=3)


def test_images_are_normalised_as_the_encoders_weights_want_it(tiny, tmp_path):
    default = Normalization.for_channels(3)
    assert normalization_for(tiny.tiny_options(encoder_weights="imagenet"), default) is default
    published = normalization_for(TaskOptions(encoder="tu-resnet18", encoder_weights="imagenet"), default)
    assert published.mean == (0.485, 0.456, 0.406)
    model = create_model(encoder="resnet18", classes=3, decoder_channels=8)
    save_bundle(Bundle(model, LABELS, Normalization((0.1,) * 3, (0.2,) * 3)), tmp_path / "run" / "best")
    started = normalization_for(TaskOptions(encoder="resnet18", start_from=str(tmp_path / "run")), default)
    assert started.mean == (0.1,) * 3
