#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "audio/wav_reader.h"
#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The reader takes paths only, so that it can refuse what is no file.
  static const int file = memfd_create("fuzz.wav", 0);
  if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size))
    return 0;
  try {
    ppx::audio::ReadAudio("/proc/self/fd/" + std::to_string(file));
  } catch (const ppx::base::Error&) {
    return 0;  // a refusal is an answer
  }
  return 0;
}
