"""Finds an image and a label in a serialized `tf.train.Example` without decoding it.

    message Example  { Features features = 1; }
    message Features { map<string, Feature> feature = 1; }
    message Feature  { BytesList = 1 | FloatList = 2 | Int64List = 3 }

(tensorflow/core/example/*.proto; lists hold their values as field 1.) Fields are walked
by their lengths, so that the bytes of an image are never read.

No library serves here: the parsers of TensorFlow, of tensorflow-datasets and of
protobuf take a whole record as bytes and copy its image, and to index a data set would
be to read all of it, hundreds of gigabytes. `array_record` gives random access only to
files of its own format, and it too reads a record to know its label. Held to
TensorFlow's parser by tests/zoo/data/test_example_proto.py.
"""

_KINDS = {1: "bytes", 2: "float", 3: "int64"}


class Malformed(ValueError):
    """The bytes are not what is looked for. Its text follows "the record ... "."""


def labelled_image(content, start, stop, image_names, label_names):
    """Finds the image and the label of an Example.

    Args:
        content: bytes or mmap that holds it.
        start, stop: ints, its first byte and the one after its last.
        image_names, label_names: what these features may be called.
    Returns:
        (first byte of the encoded image in `content`, its bytes, the label).
    Raises:
        Malformed: if it is no Example, or one without them.
    """
    image = label = None
    names = []
    for entry in _submessages(content, start, stop, 1):
        for feature in _submessages(content, *entry, 1):
            key = value = None
            for number, first, last in _fields(content, *feature):
                if number == 1:
                    key = bytes(content[first:last]).decode("utf-8", "replace")
                elif number == 2:
                    value = first, last
            names.append(key)
            if key in image_names and value:
                image = _only(content, *value, 1, key)
            elif key in label_names and value:
                label = _int(content, *_only(content, *value, 3, key), key)
    if image is None or label is None:
        raise Malformed(f"has the features {', '.join(map(str, names)) or 'none'}")
    return image[0], image[1] - image[0], label


def _only(content, start, stop, kind, key):
    """Returns the place of the only value of a Feature that must be of a kind."""
    lists = list(_fields(content, start, stop))
    if len(lists) != 1 or lists[0][0] != kind:
        kinds = ", ".join(_KINDS.get(number, "unknown") for number, _, _ in lists)
        raise Malformed(f"has {key} as {kinds or 'nothing'}, not {_KINDS[kind]}")
    values = list(_fields(content, *lists[0][1:]))
    if len(values) != 1 or values[0][0] != 1:
        raise Malformed(f"has {len(values)} values of {key}, not one")
    return values[0][1:]


def _int(content, start, stop, key):
    """Reads the one varint that lies between two bytes, as a signed number."""
    value, end = _varint(content, start, stop)
    if end != stop:
        raise Malformed(f"has several values of {key}, not one")
    return value - (1 << 64) if value >> 63 else value


def _submessages(content, start, stop, number):
    for found, first, last in _fields(content, start, stop):
        if found == number:
            yield first, last


def _fields(content, start, stop):
    """Yields (number, first byte, byte after the last) of each field of a message."""
    at = start
    while at < stop:
        tag, first = _varint(content, at, stop)
        wire = tag & 7
        if wire == 2:
            size, first = _varint(content, first, stop)
            at = first + size
        elif wire == 0:
            _, at = _varint(content, first, stop)
        elif wire in (1, 5):
            at = first + (8 if wire == 1 else 4)
        else:
            raise Malformed("is no tf.train.Example")
        if at > stop:
            raise Malformed("is no tf.train.Example")
        yield tag >> 3, first, at


def _varint(content, at, stop):
    """Returns a number of 7 bits a byte, low ones first, and the byte after it."""
    value = shift = 0
    while at < stop and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7
    raise Malformed("is no tf.train.Example")
