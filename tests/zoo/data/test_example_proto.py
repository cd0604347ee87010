"""The reader of `tf.train.Example` sees what TensorFlow's parser sees."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.zoo.data import records
from zoo.data import tfrecords
from zoo.data.example_proto import Malformed, labelled_image

NAMES = (tfrecords.IMAGE_NAMES, tfrecords.LABEL_NAMES)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
OTHERS = st.dictionaries(
    st.text(max_size=9).filter(lambda name: name not in {*NAMES[0], *NAMES[1]}),
    st.one_of(
        st.lists(st.binary(max_size=9), max_size=3),
        st.lists(st.floats(width=32), max_size=3),
        st.lists(INT64, max_size=3),
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def proto():
    return pytest.importorskip("tensorflow").train


def feature(proto, values):
    if values and isinstance(values[0], bytes):
        return proto.Feature(bytes_list=proto.BytesList(value=values))
    if values and isinstance(values[0], float):
        return proto.Feature(float_list=proto.FloatList(value=values))
    return proto.Feature(int64_list=proto.Int64List(value=values))


def found(content, before=b"", after=b""):
    start, stop = len(before), len(before) + len(content)
    whole = before + content + after
    first, size, label = labelled_image(whole, start, stop, *NAMES)
    return whole[first : first + size], label


@settings(deadline=None, max_examples=200)
@given(
    image=st.binary(max_size=300),
    label=INT64,
    others=OTHERS,
    names=st.tuples(*map(st.sampled_from, NAMES)),
    around=st.binary(max_size=5),
)
def test_what_tensorflow_writes_is_found(proto, image, label, others, names, around):
    features = {name: feature(proto, values) for name, values in others.items()}
    features[names[0]] = feature(proto, [image])
    features[names[1]] = feature(proto, [label])
    example = proto.Example(features=proto.Features(feature=features))
    content = example.SerializeToString()
    assert found(content, around, around) == (image, label)


@settings(deadline=None, max_examples=100)
@given(
    labels=st.lists(INT64, max_size=3),
    images=st.lists(st.binary(max_size=5), max_size=3),
)
def test_other_than_one_image_and_one_label_is_refused(proto, labels, images):
    features = {"label": feature(proto, labels), "image": feature(proto, images)}
    example = proto.Example(features=proto.Features(feature=features))
    content = example.SerializeToString()
    if len(labels) == len(images) == 1:
        assert found(content) == (images[0], labels[0])
    else:
        with pytest.raises(Malformed):
            found(content)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_of_spoiled_bytes_it_finds_what_tensorflow_does_or_nothing(proto, data):
    content = bytearray(records.example(image=b"\x89PNG\r\n", label=300, text=b"a"))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    try:
        ours = found(bytes(content))
    except Malformed:
        return
    try:
        features = proto.Example.FromString(bytes(content)).features.feature
    except (
        Exception
    ):  # a name that is no UTF-8, say, of a feature that is not asked for
        return
    [image] = [features[name] for name in NAMES[0] if name in features]
    [label] = [features[name] for name in NAMES[1] if name in features]
    assert ours == (image.bytes_list.value[0], label.int64_list.value[0])


@settings(deadline=None, max_examples=50)
@given(contents=st.lists(st.binary(max_size=40), min_size=1, max_size=4))
def test_files_that_tensorflow_writes_are_the_same_bytes(tmp_path_factory, contents):
    tf = pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("files")
    with tf.io.TFRecordWriter(str(folder / "theirs")) as writer:
        for content in contents:
            writer.write(content)
    records.write(folder / "ours", contents)
    whole = (folder / "theirs").read_bytes()
    assert (folder / "ours").read_bytes() == whole
    places = tfrecords._records("theirs", whole)
    assert [whole[start:stop] for start, stop in places] == contents
