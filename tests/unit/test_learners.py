"""What a learner brings: each network and data set is handled right or refused in a sentence, and left as it was."""

from __future__ import annotations

import inspect
import warnings
from collections import namedtuple
from copy import deepcopy
from dataclasses import make_dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.testing import assert_close

from resnote import blocks, counting
from resnote.batchnorm import BatchNorm, estimate_population, forward
from resnote.data import digits
from resnote.folding import fold, fold_network
from resnote.networks import SmallNet
from resnote.probes import probe
from resnote.settings import SettingError
from resnote.training import Progress, error, fit, flushes_denormals

CLASSES = 3
LABELS = torch.arange(20) % CLASSES
IMAGES = 0.3 * torch.randn(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
IMAGES[torch.arange(20), 0, 2 * LABELS] += 2


def data(images=IMAGES, labels=LABELS):
    return SimpleNamespace(train_images=images, train_labels=labels, test_images=images, test_labels=labels)


CALLS = {
    "fit": lambda network, images=IMAGES, labels=LABELS: fit(network, data(images, labels), epochs=2, batch_size=8),
    "error": lambda network, images=IMAGES, labels=LABELS: error(network, images, labels),
    "probe": lambda network, images=IMAGES, labels=LABELS: probe(network, images, labels),
    "fold_network": lambda network, images=IMAGES, labels=None: fold_network(network.eval(), images[:4]),
    "estimate_population": lambda network, images=IMAGES, labels=None: estimate_population(network, images.split(10)),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
measuring_call = pytest.mark.parametrize("call", [CALLS[name] for name in ("fit", "error", "probe")],
                                         ids=["fit", "error", "probe"])


def network(*more):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *more, nn.Flatten(), nn.Linear(64, CLASSES))


class Wrapped(nn.Module):
    """`network`, with something done before it, to its scores, or both."""

    def __init__(self, after=lambda self, scores: scores, before=lambda self, x: x):
        super().__init__()
        self.inner, self.before, self.after = network(), before, after

    def forward(self, x):
        return self.after(self, self.inner(self.before(self, x)))


def state(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def assert_as_before(module, before, modes=None):
    now = module.state_dict()
    assert now.keys() == before.keys()
    assert all(torch.equal(now[name], value) for name, value in before.items() if not value.is_meta)
    if modes is not None:
        assert [part.training for part in module.modules()] == modes


def assert_refused(module, call, words, *given):
    module.eval()  # fold_network would ask for it
    before, modes = state(module), [part.training for part in module.modules()]
    with pytest.raises(SettingError, match=words):
        call(module, *given)
    assert_as_before(module, before, modes)
    assert all(weight.grad is None for weight in module.parameters())


# --- networks --------------------------------------------------------------------------------


@every_call
def test_a_network_whose_weights_are_made_at_the_first_call_is_refused_and_works_after_it(call):
    module = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(CLASSES))
    with pytest.raises(SettingError, match=r"The part '0' of the network is a LazyConv2d.*network.eval\(\)\(images"):
        call(module)
    module.eval()(IMAGES[:2])                   # as the sentence says
    call(module)


class Averages(nn.Module):
    """Gives one row for the whole batch."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(1, 4, 3), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.linear(self.conv(x).relu().mean((0, 2, 3))[None])


@measuring_call
def test_one_row_of_scores_for_the_whole_batch_is_not_compared_with_all_labels(call):
    assert_refused(Averages(), call, r"scores of shape \(1, 3\) for (2|20) images; it must give one row an image")


Output = make_dataclass("Output", ["scores", "aux"])
Pair = namedtuple("Pair", "scores aux")


@measuring_call
@pytest.mark.parametrize("after, words", [
    (lambda self, scores: (scores, scores), "gives a tuple, and scores are needed: one float tensor"),
    (lambda self, scores: Pair(scores, scores), "gives a Pair"),
    (lambda self, scores: [scores], "gives a list"),
    (lambda self, scores: {"out": scores}, "gives a dict"),
    (lambda self, scores: Output(scores, scores), "gives an Output"),
    (lambda self, scores: None, "gives None"),
    (lambda self, scores: scores.detach().numpy(), "gives a ndarray"),
    (lambda self, scores: (scores > 0).long(), "gives torch.int64, and scores are floats"),
    (lambda self, scores: scores.argmax(1), r"scores of shape \((2|20),\); they must be \(N, classes\)"),
    (lambda self, scores: scores[:, :0], r"scores of shape \((2|20), 0\)"),
    (lambda self, scores: scores.to("meta"), "gives scores on meta for images on cpu"),
])
def test_what_is_not_a_tensor_of_scores_is_refused_by_its_name(call, after, words):
    assert_refused(Wrapped(after), call, words)


def test_scores_that_turn_into_a_tuple_in_training_as_inceptions_do_are_refused_and_nothing_has_changed():
    assert_refused(Wrapped(lambda self, scores: (scores, scores) if self.training else scores), CALLS["fit"], "a tuple")


def test_scores_that_no_weight_reaches_cannot_be_trained_on_and_have_no_gradients():
    module = Wrapped(lambda self, scores: scores.detach())
    assert_refused(module, CALLS["fit"], "scores do not depend on any weight")
    assert all(layer.gradient is None for layer in probe(module, IMAGES, LABELS))


@every_call
@pytest.mark.parametrize("make, words", [
    (lambda: nn.ModuleList([network()]), "is a ModuleList, which has no forward"),
    (nn.Module, "is a Module, which has no forward"),
    (lambda: network().to("meta"), "weights on the meta device"),
    (lambda: torch.jit.script(network()), "compiled by torch.jit.*Give the nn.Module"),
    (lambda: nn.Sequential(torch.jit.trace(network().eval(), IMAGES)), "The part '0' of the network was compiled by"),
    (lambda: torch.compile(network(), backend="eager"), "compiled by torch.compile.*both have the same weights"),
])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_cannot_be_called_or_looked_into_is_refused_in_words(call, make, words):
    assert_refused(make(), call, words)


@pytest.mark.parametrize("name", ["fit", "probe", "estimate_population"])
def test_weights_made_under_inference_mode_are_refused_where_they_would_change_or_need_a_gradient(name):
    with torch.inference_mode():
        module = network()
    assert_refused(module, CALLS[name], "built under torch.inference_mode")
    assert 0 <= error(module, IMAGES, LABELS) <= 1


def test_training_and_probing_work_under_inference_mode():
    expected, module, other = probe(network(), IMAGES, LABELS), network(), network()
    history = CALLS["fit"](other)
    with torch.inference_mode():
        assert probe(module, IMAGES, LABELS) == expected
        assert CALLS["fit"](module).loss == history.loss


class Cam(nn.Module):
    """Keeps activations, as Grad-CAM does, also in a list in a dict."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.linear = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(64, CLASSES)

    def forward(self, x):
        self.maps = self.bn(self.conv(x))
        self.kept = {"relu": [self.maps.relu()]}
        return self.linear(self.kept["relu"][0].flatten(1))


def test_a_network_that_keeps_its_activations_is_folded_and_measured_and_keeps_them():
    module = Cam()
    estimate_population(module, IMAGES.split(10))
    module.eval()
    scores, maps = module(IMAGES), module.maps
    folded = fold_network(module, IMAGES[:4])
    assert isinstance(folded.bn, nn.Identity)
    with torch.no_grad():
        assert_close(folded(IMAGES), scores, rtol=1e-5, atol=1e-5)
    assert module.maps is maps and maps.grad_fn is not None
    scores.sum().backward()                     # its graph is still whole
    estimate_population(module, IMAGES.split(10))
    assert module.maps is maps


def test_a_network_that_cannot_be_copied_is_refused_by_the_true_cause():
    module = network()
    module.log = open(__file__, encoding="utf-8")
    try:
        for name in ("fold_network", "estimate_population"):
            assert_refused(module, CALLS[name], "cannot be copied.*cannot pickle '(_io\\.)?TextIOWrapper' object")
    finally:
        module.log.close()


def old_weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(layer)


COMPUTED = {"weight_norm": parametrizations.weight_norm, "old weight_norm": old_weight_norm,
            "spectral_norm": parametrizations.spectral_norm, "old spectral_norm": nn.utils.spectral_norm,
            "pruning": lambda layer: prune.l1_unstructured(layer, "weight", 0.5)}


@pytest.mark.parametrize("compute", COMPUTED.values(), ids=COMPUTED)
def test_a_layer_that_computes_its_weight_is_trained_measured_and_left_alone_by_folding(compute):
    module = network()
    compute(module[0])
    before = state(module)
    module(IMAGES)                              # the old kinds keep a weight with a history from here on
    module.load_state_dict(before)
    layers = probe(module, IMAGES, LABELS)
    assert layers[0].name == "0" and layers[0].gradient > 0
    error(module, IMAGES, LABELS)
    assert_as_before(module, before)
    estimate_population(module, IMAGES.split(10))
    module.eval()
    folded = fold_network(module, IMAGES[:4])
    assert isinstance(folded[1], nn.BatchNorm2d)
    assert_close(folded(IMAGES), module(IMAGES), rtol=1e-5, atol=1e-5)
    with pytest.raises(SettingError, match="computes its weight anew|a Parametrized"):
        fold(module[0], module[1])
    history = fit(module, data(), epochs=4, batch_size=8)
    assert history.stopped is None and history.loss[-1] < history.loss[0]


def test_the_gradient_of_a_computed_weight_is_that_of_the_weight_itself():
    plain, computed = network(), network()
    parametrizations.weight_norm(computed[0])
    assert_close(probe(computed, IMAGES, LABELS)[0].gradient, probe(plain, IMAGES, LABELS)[0].gradient, rtol=1e-4, atol=1e-6)


def test_a_three_dimensional_convolution_is_trained():
    module = nn.Sequential(nn.Unflatten(1, (1, 1)), nn.Conv3d(1, 4, (1, 3, 3)), nn.BatchNorm3d(4), nn.ReLU(), nn.Flatten(),
                           nn.Linear(64, CLASSES))
    history = fit(module, data(), epochs=4, batch_size=8)
    assert history.stopped is None and history.loss[-1] < history.loss[0]


class Failure(Exception):
    """Raised on purpose."""


class Noting(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x):
        self.act()
        return x


def failing(at=1, *, hook=False, error=Failure):
    """A network that changes its weights and buffers at every call, and fails in its call number ``at`` with gradients."""
    def act(*_):
        for tensor in (module[0].weight, module[1].running_mean, module[5].weight):
            tensor.data.add_(1)
        calls.append(torch.is_grad_enabled())
        if sum(calls) == at:
            raise error

    module, calls = network(nn.Identity()), []
    if hook:
        module[3].register_forward_hook(act)
    else:
        module[3] = Noting(act)
    return module


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt])
def test_a_run_that_fails_halfway_leaves_weights_buffers_gradients_and_modes_as_they_were(error, at, hook):
    module = failing(at, hook=hook, error=error)
    module[1].eval()
    for weight in module.parameters():
        weight.grad = torch.ones_like(weight)
    before, modes = state(module), [part.training for part in module.modules()]
    with pytest.raises(error):
        fit(module, data(), epochs=4, batch_size=8)
    assert_as_before(module, before, modes)
    assert all(torch.equal(weight.grad, torch.ones_like(weight)) for weight in module.parameters())
    assert all(weight.is_contiguous() for weight in module.parameters())


@pytest.mark.parametrize("name", ["error", "probe"])
@pytest.mark.parametrize("at", [1, 100])
def test_measuring_a_network_that_changes_itself_leaves_it_as_it_was(name, at):
    module = failing(at)
    before = state(module)
    if at == 1 and name == "probe":
        with pytest.raises(Failure):
            CALLS[name](module)
    else:
        CALLS[name](module)
    assert_as_before(module, before)


@measuring_call
def test_a_network_that_puts_new_tensors_in_the_place_of_its_buffers_and_weights_gets_the_old_ones_back(call):
    def replace(self, x):
        self.seen, self.inner[4].bias = self.seen + 1, nn.Parameter(self.inner[4].bias.detach() + 1)
        if call is CALLS["fit"] and torch.is_grad_enabled():
            raise Failure
        return x

    module = Wrapped(before=replace)
    module.register_buffer("seen", torch.zeros(3))
    before, seen, bias = state(module), module.seen, module.inner[4].bias
    try:
        call(module)
    except Failure:
        assert call is CALLS["fit"]
    assert_as_before(module, before)
    assert module.seen is seen and module.inner[4].bias is bias


def test_a_layer_of_the_learners_that_gives_a_tuple_is_named_by_the_probe():
    class Both(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    class Net(Wrapped):
        def forward(self, x):
            return self.both(super().forward(x))[0]

    module = Net()
    module.both = Both(CLASSES, CLASSES)
    assert_refused(module, CALLS["probe"], "The layer 'both' gives a tuple and no tensor")


def test_a_graph_that_the_caller_still_holds_can_be_sent_back_after_a_measurement():
    module = network()
    loss = F.cross_entropy(module(IMAGES), LABELS)
    error(module, IMAGES, LABELS)
    loss.backward()
    assert module[0].weight.grad.any()


@every_call
def test_the_error_of_a_hook_passes_and_the_network_is_as_it_was(call):
    def hook(*_):
        raise Failure

    module = network().eval()
    module[2].register_forward_hook(hook)
    before = state(module)
    with pytest.raises(Failure):
        call(module)
    assert_as_before(module, before)
    assert [len(part._forward_hooks) for part in module.modules()] == [int(part is module[2]) for part in module.modules()]


def test_a_failed_estimate_leaves_every_batch_norm_as_it_was():
    module = network(nn.BatchNorm2d(4))
    module[3].num_batches_tracked = None        # cannot be counted up
    before = state(module)
    with pytest.raises(AttributeError):
        estimate_population(module, IMAGES.split(10))
    assert_as_before(module, before)


def test_a_network_that_fails_in_every_dtype_is_not_told_that_float64_is_the_cause():
    with pytest.raises(SettingError, match="^The network fails on these images: .*expected input"):
        fold_network(nn.Sequential(nn.Conv2d(3, 4, 3)).eval(), IMAGES[:4])


# --- frozen batch norms ----------------------------------------------------------------------


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, BatchNorm])
def test_a_batch_norm_put_into_eval_mode_stays_frozen_while_its_weights_learn(norm):
    module, during = network(), []
    module[1] = norm(4)
    estimate_population(module, IMAGES.split(10))
    module[1].eval()
    module[1].register_forward_hook(lambda norm, *_: during.append(norm.training))
    before = state(module)
    history = fit(module, data(), epochs=3, batch_size=8)
    after = state(module)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert set(during) == {False} and not module[1].training and module.training
    assert changed == {name for name, _ in module.named_parameters()} and len(changed) == 6
    # A frozen norm is the same with batch and with running statistics, also where the error is measured.
    assert history.final_error == error(module, IMAGES, LABELS) == error(module, IMAGES, LABELS, statistics="running")


def test_what_a_frozen_batch_norm_learns_is_what_a_hand_written_loop_learns():
    ours, theirs = network().double(), network().double()
    ours[1].eval(), theirs[1].eval()
    fit(ours, data(IMAGES.double()), epochs=2, batch_size=20, learning_rate=0.1, momentum=0, weight_decay=0, schedule=None)
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(theirs(IMAGES.double()), LABELS).backward()
        optimizer.step()
    for name, value in theirs.state_dict().items():
        assert_close(ours.state_dict()[name], value, rtol=1e-9, atol=1e-9)


def test_a_network_in_eval_mode_as_a_whole_is_trained_as_usual_and_stays_in_eval_mode():
    usual, evaluated = network(), network().eval()
    losses = fit(usual, data(), epochs=3, batch_size=8).loss
    assert fit(evaluated, data(), epochs=3, batch_size=8).loss == losses
    assert not any(part.training for part in evaluated.modules())
    assert_as_before(evaluated, state(usual))


def test_a_single_image_can_be_trained_on_and_measured_where_no_batch_norm_compares_images():
    module = network()
    with pytest.raises(SettingError, match="over a single image"):
        fit(module, data(IMAGES[:1], LABELS[:1]))
    module[1].eval()
    assert fit(module, data(IMAGES[:1], LABELS[:1]), epochs=3).steps == 3
    assert fit(module, data(), epochs=1, batch_size=1).steps == 20
    assert error(module, IMAGES[:1], LABELS[:1]) in (0, 1) and len(probe(module, IMAGES[:1], LABELS[:1])) == 3


def test_dropout_put_into_eval_mode_stays_out():
    module = network(nn.Dropout(0.9))
    module[3].eval()
    assert fit(module, data(), epochs=2, batch_size=8).loss == fit(network(), data(), epochs=2, batch_size=8).loss


def test_estimating_the_population_leaves_frozen_batch_norms_as_they_are():
    module = network(nn.BatchNorm2d(4))
    module[1].eval()
    before = state(module)
    estimate_population(module, IMAGES.split(10))
    after = state(module)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "3.running_mean", "3.running_var", "3.num_batches_tracked"}
    module[3].eval()
    with pytest.raises(SettingError, match="no batch norm with running statistics that may change.*not all frozen"):
        estimate_population(module, IMAGES.split(10))


# --- data ------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [CALLS[name] for name in ("fit", "error", "probe", "estimate_population")])
@pytest.mark.parametrize("weights, pixels", [(torch.float32, torch.float64), (torch.float64, torch.float32),
                                             (torch.float16, torch.float32), (torch.float32, torch.bfloat16)])
def test_images_and_weights_of_different_dtypes_are_refused_with_both_ways_out(call, weights, pixels):
    words = rf"images are {pixels} and the network's weights are {weights}.*images.to\({weights}\).*network.to\({pixels}\)"
    assert_refused(network().to(weights), call, words, IMAGES.to(pixels))


@pytest.mark.parametrize("build", [lambda: SmallNet("plain", 8, classes=CLASSES),
                                   lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 3))])
def test_images_in_float64_are_refused_in_words_by_our_network_and_by_torchs_layers(build):
    assert_refused(build(), CALLS["fit"], "images are torch.float64.*weights are torch.float32", IMAGES.double())


def test_a_network_that_converts_its_images_itself_may_get_any_dtype():
    module = Wrapped(before=lambda self, x: x.float())
    expected = fit(deepcopy(module), data(), epochs=2, batch_size=8).loss
    assert fit(deepcopy(module), data(IMAGES.double()), epochs=2, batch_size=8).loss == pytest.approx(expected, rel=1e-5)
    estimate_population(module, IMAGES.double().split(10))


@every_call
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_dtype_works_where_images_and_weights_agree(call, dtype):
    module = network().to(dtype)
    estimate_population(module, IMAGES.to(dtype).split(10))
    call(module, IMAGES.to(dtype))


@pytest.mark.parametrize("images, words", [
    (IMAGES.numpy(), "images are a ndarray"), (None, "images are a NoneType"), (IMAGES.to(torch.uint8), "torch.uint8"),
    (IMAGES > 0, "torch.bool"), (IMAGES.tolist(), "images are a list"), (IMAGES.to("meta"), "on the meta device"),
    (IMAGES[:, :0], r"shape \(20, 0, 6, 6\), which leaves them without pixels"), (IMAGES[..., :0], "without pixels"),
    (IMAGES[:0], "There are 0 images"), (IMAGES[0], r"shape \(1, 6, 6\)"), (IMAGES.to(torch.complex64), "torch.complex64")])
@measuring_call
def test_what_is_no_batch_of_images_is_refused_in_words(call, images, words):
    assert_refused(network(), call, words, images)


@pytest.mark.parametrize("labels, words", [
    (LABELS.numpy(), "labels are a ndarray"), (LABELS.float(), "labels are torch.float32"), (LABELS > 0, "torch.bool"),
    (LABELS.to(torch.complex64), "torch.complex64"), (LABELS.to("meta"), "labels are on meta and the images are on cpu"),
    (LABELS[:, None], r"shape \(20, 1\)"), (LABELS[:0], "20 images and 0 labels")])
@measuring_call
def test_what_are_no_labels_is_refused_in_words(call, labels, words):
    assert_refused(network(), call, words, IMAGES, labels)


def test_labels_that_are_none_are_refused_where_they_are_needed():
    for name in ("fit", "error"):
        assert_refused(network(), CALLS[name], "labels are a NoneType", IMAGES, None)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64, torch.int8])
def test_labels_of_unsigned_types_are_labels(dtype):
    module = network()
    assert error(module, IMAGES, LABELS.to(dtype)) == error(module, IMAGES, LABELS)
    assert probe(module, IMAGES, LABELS.to(dtype)) == probe(module, IMAGES, LABELS)
    assert fit(module, data(IMAGES, LABELS.to(dtype)), epochs=1).steps == 1


@pytest.mark.parametrize("device", ["meta"])
def test_folding_and_estimating_refuse_images_on_another_device(device):
    for name in ("fold_network", "estimate_population"):
        assert_refused(network(), CALLS[name], "images are on the meta device", IMAGES.to(device))


def test_images_that_need_a_gradient_get_none_from_a_run():
    images = IMAGES.clone().requires_grad_()
    assert fit(network(), data(images), epochs=2, batch_size=8).loss == CALLS["fit"](network()).loss
    assert images.grad is None


# --- numbers and switches --------------------------------------------------------------------


def test_numpys_numbers_and_switches_mean_what_pythons_mean():
    ours, theirs = network(), network()
    expected = fit(ours, data(), epochs=3, batch_size=8, learning_rate=0.5, momentum=0.5, weight_decay=0.0, seed=3,
                   test=False)
    history = fit(theirs, data(), epochs=np.int64(3), batch_size=np.int32(8), learning_rate=np.float32(0.5),
                  momentum=np.float16(0.5), weight_decay=np.float64(0), seed=np.uint8(3), test=np.False_)
    assert history.loss == expected.loss and history.test_error == []
    assert all(type(loss) is float for loss in history.loss)
    assert counting.conv2d((3, 8, 8), np.int64(4), 3, bias=np.True_) == counting.conv2d((3, 8, 8), 4, 3)
    assert counting.bottleneck(8, 4, 8, batch_norm=np.False_) == counting.bottleneck(8, 4, 8, batch_norm=False)
    assert blocks.BasicBlock(np.int64(4), 4, 4, bias=np.True_).residual.conv1.bias is not None
    assert BatchNorm(np.int64(3), eps=np.float32(0.5), momentum=np.float64(0.5), affine=np.False_).gamma is None
    x = torch.randn(4, 3)
    assert torch.equal(forward(x, eps=np.float64(0.25))[0], forward(x, eps=0.25)[0])


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), torch.tensor(True), torch.tensor([True]), None, "3"])
@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "seed"])
def test_booleans_none_and_text_are_no_numbers_for_fit(name, value):
    module = network()
    before = state(module)
    with pytest.raises(SettingError, match=f"^{name} is "):
        fit(module, data(), **{name: value})
    assert_as_before(module, before)


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), torch.tensor([True]), None, "3", 2.5, np.float32(3)])
def test_booleans_none_text_and_floats_are_no_sizes(value):
    for name, call in (("out_channels", lambda: counting.conv2d((3, 8, 8), value, 3)),
                       ("kernel_size", lambda: counting.conv2d((3, 8, 8), 3, (3, value))),
                       ("padding", lambda: counting.conv2d((3, 8, 8), 3, 3, padding=value)),
                       ("groups", lambda: counting.bottleneck(4, 4, 4, groups=value)),
                       ("groups", lambda: blocks.Bottleneck(4, 4, 4, groups=value)),
                       ("size", lambda: counting.basic_block(4, 4, 4, size=value)),
                       ("width", lambda: blocks.BasicBlock(4, value, 4)),
                       ("depth", lambda: SmallNet("plain", value)), ("classes", lambda: SmallNet("plain", 8, classes=value)),
                       ("total", lambda: Progress(value)), ("channels", lambda: BatchNorm(value))):
        with pytest.raises(SettingError, match=f"^{name} is "):
            call()


@pytest.mark.parametrize("value", [None, 1, 0, "no", np.array([True, False]), torch.tensor([True])])
def test_what_is_no_boolean_is_no_switch(value):
    for name, call in (("bias", lambda: counting.conv2d((3, 8, 8), 3, 3, bias=value)),
                       ("affine", lambda: counting.batch_norm2d((3, 8, 8), affine=value)),
                       ("bias", lambda: counting.plain_block(4, 4, 4, bias=value)),
                       ("batch_norm", lambda: counting.bottleneck(4, 4, 4, batch_norm=value)),
                       ("strict", lambda: counting.basic_block(4, 4, 5, strict=value)),
                       ("bias", lambda: blocks.PlainBlock(4, 4, 4, bias=value)),
                       ("batch_norm", lambda: blocks.Bottleneck(4, 4, 4, batch_norm=value)),
                       ("affine", lambda: BatchNorm(4, affine=value)), ("test", lambda: fit(network(), data(), test=value))):
        with pytest.raises(SettingError, match=f"^{name} is .*; it must be True or False"):
            call()


ARRAY = np.array(["identity", "same"])


@pytest.mark.parametrize("call, words", [
    (lambda: fit(network(), data(), label=None), "label is None"), (lambda: Progress(3, 4), "label is 4"),
    (lambda: fit(network(), data(), progress=True), "progress is a bool; it must be a Progress"),
    (lambda: fit(network(), data(), schedule=ARRAY), "schedule="),
    (lambda: error(network(), IMAGES, LABELS, statistics=ARRAY), "statistics="),
    (lambda: error(network(), IMAGES, LABELS, statistics=None), "statistics=None"),
    (lambda: SmallNet(ARRAY, 8), "block="), (lambda: blocks.BasicBlock(4, 4, 4, shortcut=ARRAY), "shortcut="),
    (lambda: counting.conv2d((3, 8, 8), 3, 3, padding=ARRAY), "padding is "),
    (lambda: BatchNorm(4, eps=np.True_), "eps is "), (lambda: BatchNorm(4, momentum=np.True_), "momentum is ")])
def test_a_choice_or_a_text_of_another_type_is_refused_in_words(call, words):
    with pytest.raises(SettingError, match=words):
        call()


@pytest.mark.parametrize("call", [
    counting.plain_block, counting.basic_block, counting.bottleneck, counting.conv2d, counting.batch_norm2d, counting.relu,
    counting.add, blocks.PlainBlock, blocks.BasicBlock, blocks.Bottleneck, SmallNet, BatchNorm, fit, error, probe, Progress])
def test_an_unknown_setting_is_refused_by_the_name_of_what_was_called(call):
    parameters = inspect.signature(call).parameters.values()
    needed = sum(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
    with pytest.raises(TypeError, match="no_such_setting") as refusal:
        call(*[3] * needed, no_such_setting=1)
    assert str(refusal.value).startswith((f"{call.__name__}()", f"{call.__name__}.__init__()"))


# --- denormal numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("name", ["fit", "error"])
def test_denormal_numbers_count_as_0_meanwhile_and_then_what_was_set_before_holds(name, fails, before):
    def act():
        seen.append((flushes_denormals(), (torch.full((3,), 1e-30) * torch.full((3,), 1e-10)).any().item()))
        if fails:
            raise Failure

    able, seen = torch.set_flush_denormal(before), []
    try:
        try:
            CALLS[name](network(Noting(act)))
            assert not fails
        except Failure:
            assert fails
        assert set(seen) == {(able, not able)}
        assert flushes_denormals() == (able and before)
    finally:
        torch.set_flush_denormal(False)


def test_a_run_on_the_digits_is_the_same_with_and_without_denormal_numbers(monkeypatch):
    found = []
    for act in (torch.set_flush_denormal, lambda mode: False):
        monkeypatch.setattr(torch, "set_flush_denormal", act)
        torch.manual_seed(0)
        module = SmallNet("residual", 8)
        history = fit(module, digits(), epochs=1)
        found.append((history.loss, history.train_error, history.test_error, history.final_error, state(module)))
    assert found[0][:-1] == found[1][:-1]
    assert all(torch.equal(value, found[1][-1][name]) for name, value in found[0][-1].items())
