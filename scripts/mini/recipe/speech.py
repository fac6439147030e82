"""Synthesisers: flite in this process, with the times of words and phones; espeak-ng and festival as
programs. A voice is "flite:slt", "espeak:en-us+f2", "festival:ked_diphone"."""
import ctypes
import dataclasses
import shutil
import subprocess
import tempfile

import numpy as np

from . import acoustics


class SpeechError(Exception):
    pass


@dataclasses.dataclass
class Utterance:
    samples: np.ndarray  # float64
    rate_hz: int
    words: list = dataclasses.field(default_factory=list)   # (text, start_s, end_s); empty if not known
    phones: list = dataclasses.field(default_factory=list)  # (name, end_s)


class _Wave(ctypes.Structure):
    _fields_ = [("type", ctypes.c_char_p), ("rate_hz", ctypes.c_int), ("count", ctypes.c_int),
                ("channels", ctypes.c_int), ("samples", ctypes.POINTER(ctypes.c_short))]


class _Voice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


class Flite:
    """libflite by its C interface (flite.h)."""

    START = b"R:Token.daughter1.R:SylStructure.daughter1.daughter1.R:Segment.p.end"
    END = b"R:Token.daughtern.R:SylStructure.daughtern.daughtern.R:Segment.end"

    def __init__(self):
        pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float
        try:
            self.core = ctypes.CDLL("libflite.so.1")
        except OSError as error:
            raise SpeechError(f"{error}; install flite") from None
        for name, result, arguments in (
                ("flite_synth_text", pointer, (text, pointer)), ("delete_utterance", None, (pointer,)),
                ("utt_wave", ctypes.POINTER(_Wave), (pointer,)), ("utt_relation", pointer, (pointer, text)),
                ("relation_head", pointer, (pointer,)), ("item_next", pointer, (pointer,)),
                ("ffeature_string", text, (pointer, text)), ("ffeature_float", number, (pointer, text)),
                ("feat_set_float", None, (pointer, text, number))):
            function = getattr(self.core, name)
            function.restype, function.argtypes = result, arguments
        self.core.flite_init()
        self.libc = ctypes.CDLL(None)
        self.voices = {}

    def _voice(self, name):
        if name not in self.voices:
            register = getattr(ctypes.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype, register.argtypes = ctypes.c_void_p, (ctypes.c_char_p,)
            self.voices[name] = register(None)
        return self.voices[name]

    def _items(self, utterance, relation):
        item = self.core.relation_head(self.core.utt_relation(utterance, relation))
        while item:
            yield item
            item = self.core.item_next(item)

    def say(self, name, text, stretch):
        voice = self._voice(name)
        features = ctypes.cast(voice, ctypes.POINTER(_Voice)).contents.features
        self.core.feat_set_float(features, b"duration_stretch", stretch)
        self.libc.srand(1)  # breath is made of rand(): a text is to sound the same whatever was said before it
        utterance = self.core.flite_synth_text(text.encode("ascii"), voice)
        wave = self.core.utt_wave(utterance).contents
        samples, rate_hz = np.ctypeslib.as_array(wave.samples, (wave.count,)) / 32768.0, wave.rate_hz
        words = [(self.core.ffeature_string(item, b"name").decode(),
                  self.core.ffeature_float(item, self.START), self.core.ffeature_float(item, self.END))
                 for item in self._items(utterance, b"Token")]
        phones = [(self.core.ffeature_string(item, b"name").decode(),
                   self.core.ffeature_float(item, b"end")) for item in self._items(utterance, b"Segment")]
        self.core.delete_utterance(utterance)
        return Utterance(samples, rate_hz, words, phones)


class Speech:
    """Speaks with any of the voices. `rate`: 1 is the voice's own, 1.2 is faster; `pitch` (espeak-ng
    only): 0 to 99."""

    def __init__(self):
        self.flite = Flite()

    def say(self, voice, text, rate=1.0, pitch=50):
        program, name = voice.split(":")
        if program == "flite":
            said = self.flite.say(name, text, 1 / rate)
        elif program == "espeak":
            said = self._run(["espeak-ng", "-v", name, "-s", str(round(170 * rate)), "-p", str(pitch), "-w"],
                             [text])
        elif program == "festival":
            said = self._run(["text2wave", "-eval", f"(voice_{name})", "-eval",
                              f"(Parameter.set 'Duration_Stretch {1 / rate:.3f})", "-o"], [], text)
        else:
            raise SpeechError(f"{voice}: no such synthesiser")
        if len(said.samples) < 1000 or not said.samples.any():
            raise SpeechError(f"{voice} gave no speech for '{text}'")
        return said

    @staticmethod
    def _run(command, arguments, given=None):
        if shutil.which(command[0]) is None:
            raise SpeechError(f"{command[0]} was not found; install espeak-ng and festival")
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            result = subprocess.run([*command, file.name, *arguments], input=given, text=True,
                                    capture_output=True, check=False)
            try:
                return Utterance(*acoustics.read_wav(file.name))
            except (EOFError, OSError, acoustics.wave.Error):
                raise SpeechError(f"{' '.join(command[:3])}: {result.stderr.strip()}") from None


def trimmed(samples, rate_hz, floor_db=-38.0):
    """(first, last + 1) of the 10 ms steps whose level is above `floor_db` re the loudest, in samples."""
    step = rate_hz // 100
    steps = len(samples) // step
    level = np.sqrt(np.mean(samples[:steps * step].reshape(steps, step) ** 2, axis=1))
    loud = np.flatnonzero(level >= level.max() * acoustics.decibels(floor_db))
    return int(loud[0]) * step, int(loud[-1] + 1) * step
