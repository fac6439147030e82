#include "weights/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"

namespace ppx::weights {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr const char* kMetadataKey = "__metadata__";
constexpr uint64_t kLongestHeader = 100'000'000;  // the format's own limit
constexpr size_t kMostDimensions = 16;
// Root, entry, list of sizes: what stands in a list has three levels above it.
constexpr int kDeepestHeader = 3;

[[noreturn]] void Reject(const std::string& name, const std::string& problem) {
  base::ThrowBadInput(fmt::format("{}: {}", name, problem));
}

// Elements times their size; nothing where that is more than 64 bits can hold.
std::optional<uint64_t> ByteCount(const std::vector<int64_t>& shape, DType dtype) {
  uint64_t bytes = SizeOf(dtype);
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) return std::nullopt;
  }
  return bytes;
}

// JSON that names a key twice is refused: readers would disagree on which one counts. So is deep
// nesting, before it takes many times the memory of its text.
Json ParseHeaderJson(std::string_view text, const std::string& name) {
  std::vector<std::set<std::string>> keys;
  bool duplicate = false;
  const Json::parser_callback_t watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kDeepestHeader)
      Reject(name, "damaged: its safetensors header is nested too deeply");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      duplicate = true;
    }
    return true;
  };
  Json json = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    Reject(name, "damaged: its safetensors header is not JSON; download it again");
  }
  if (duplicate) Reject(name, "damaged: its safetensors header names something twice");
  if (!json.is_object()) Reject(name, "damaged: its safetensors header is no JSON object");
  return json;
}

TensorView ParseEntry(const Json& entry, const std::string& tensor, std::span<const std::byte> data,
                      const std::string& name) {
  const auto fail = [&](const std::string& problem) {
    Reject(name, fmt::format("tensor '{}': {}", tensor, problem));
  };
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2) {
    fail("its entry is not {dtype, shape, data_offsets}");
  }
  TensorView view;
  const std::string dtype_name = entry["dtype"].get<std::string>();
  const auto dtype = ParseDType(dtype_name);
  if (!dtype) fail(fmt::format("type '{}' is not supported", dtype_name));
  view.dtype = *dtype;
  if (entry["shape"].size() > kMostDimensions) fail("has too many dimensions");
  for (const Json& size : entry["shape"]) {
    if (!size.is_number_unsigned() || size.get<uint64_t>() > uint64_t{INT64_MAX}) {
      fail("its shape is not a list of sizes");
    }
    view.shape.push_back(size.get<int64_t>());
  }
  for (const Json& offset : entry["data_offsets"]) {
    if (!offset.is_number_unsigned()) fail("its data_offsets are not two positions");
  }
  const auto begin = entry["data_offsets"][0].get<uint64_t>();
  const auto end = entry["data_offsets"][1].get<uint64_t>();
  if (begin > end) fail("its data ends before it begins");
  const auto bytes = ByteCount(view.shape, view.dtype);
  if (!bytes || *bytes != end - begin) {
    fail(fmt::format("{} bytes of data do not fit its shape and type", end - begin));
  }
  if (end > data.size()) {
    Reject(name, fmt::format("cut short: tensor '{}' ends {} bytes after the end of the file; "
                             "download it again",
                             tensor, end - data.size()));
  }
  view.data = data.subspan(begin, end - begin);
  return view;
}

}  // namespace

SafetensorsHeader ParseSafetensors(std::span<const std::byte> file, const std::string& name) {
  constexpr std::string_view kLfsPointer = "version https://git-lfs";
  if (file.size() >= kLfsPointer.size() &&
      std::memcmp(file.data(), kLfsPointer.data(), kLfsPointer.size()) == 0) {
    Reject(name,
           "a Git LFS pointer, not the weights themselves; run 'git lfs pull' or 'hf download'");
  }
  if (file.size() < kLengthBytes)
    Reject(name, "no safetensors file: shorter than its length field");
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length < 2 || length > kLongestHeader) {
    Reject(name, fmt::format("no safetensors file: a header of {} bytes is announced", length));
  }
  if (length > file.size() - kLengthBytes) {
    Reject(name,
           fmt::format("cut short, or no safetensors file: a header of {} bytes is announced, "
                       "the file has {} bytes",
                       length, file.size()));
  }
  const auto* text = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  const Json json = ParseHeaderJson({text, length}, name);
  const auto data = file.subspan(kLengthBytes + length);

  SafetensorsHeader header;
  for (const auto& [key, entry] : json.items()) {
    if (key == kMetadataKey) {
      if (!entry.is_object()) Reject(name, "damaged: its metadata is no JSON object");
      for (const auto& [field, value] : entry.items()) {
        if (!value.is_string()) Reject(name, "damaged: its metadata is not made of strings");
        header.metadata[field] = value.get<std::string>();
      }
    } else {
      header.tensors[key] = ParseEntry(entry, key, data, name);
    }
  }
  // Tensors cover the data without gap or overlap.
  std::vector<std::pair<const std::byte*, size_t>> spans;
  for (const auto& [key, view] : header.tensors)
    spans.emplace_back(view.data.data(), view.data.size());
  std::sort(spans.begin(), spans.end());
  const std::byte* reached = data.data();
  for (const auto& [begin, size] : spans) {
    if (begin != reached) Reject(name, "damaged: its tensors overlap or leave gaps");
    reached = begin + size;
  }
  if (reached != data.data() + data.size()) {
    Reject(name, "damaged: there is data after its last tensor");
  }
  return header;
}

SafetensorsFile::SafetensorsFile(std::string path, void* mapping, size_t size)
    : path_(std::move(path)), mapping_(mapping), size_(size) {}

SafetensorsFile::~SafetensorsFile() { munmap(mapping_, size_); }

std::shared_ptr<const SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  const int descriptor =
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not wait
  if (descriptor < 0) Reject(path, "cannot be opened: " + base::ErrnoText(errno));
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    Reject(path, "is not a regular file");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size < kLengthBytes) {
    close(descriptor);
    Reject(path, "no safetensors file: shorter than its length field");
  }
  void* mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int map_error = errno;
  close(descriptor);
  if (mapping == MAP_FAILED) {
    base::ThrowResource(
        fmt::format("{}: cannot be mapped into memory: {}", path, base::ErrnoText(map_error)));
  }
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile(path, mapping, size));
  file->header_ = ParseSafetensors({static_cast<const std::byte*>(mapping), size}, path);
  return file;
}

const TensorView* SafetensorsFile::Find(const std::string& name) const {
  const auto found = header_.tensors.find(name);
  return found == header_.tensors.end() ? nullptr : &found->second;
}

void SafetensorsFile::Release(const TensorView& view) const {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(view.data.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(view.data.data() + view.data.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

void SafetensorsFile::Release() const { madvise(mapping_, size_, MADV_DONTNEED); }

void WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const size_t a_size = SizeOf(a->dtype);
    const size_t b_size = SizeOf(b->dtype);
    return a_size != b_size ? a_size > b_size : a->name < b->name;
  });
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  uint64_t offset = 0;
  for (const NamedTensor* tensor : order) {
    const auto bytes = ByteCount(tensor->shape, tensor->dtype);
    if (!bytes || *bytes != tensor->data.size()) {
      base::ThrowInternal("a tensor to be written does not fit its shape: " + tensor->name);
    }
    if (tensor->name == kMetadataKey || header.contains(tensor->name)) {
      base::ThrowInternal("a tensor to be written has a name that is taken: " + tensor->name);
    }
    header[tensor->name] = {{"dtype", Name(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, offset + *bytes}}};
    offset += *bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    base::ThrowInternal("a name to be written is not UTF-8: " + path);
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  const auto length = static_cast<uint64_t>(text.size());

  base::AtomicFile file(path);
  file.Write(std::as_bytes(std::span(&length, 1)));
  file.Write(std::as_bytes(std::span(text)));
  for (const NamedTensor* tensor : order) file.Write(tensor->data);
  file.Commit();
}

}  // namespace ppx::weights
