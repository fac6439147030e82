#include "weights/torch_archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "base/error.h"

namespace ppx::weights {
namespace {

// Voice prompts are a few megabytes; these keep a hostile file from taking the machine.
constexpr uint64_t kLargestEntry = uint64_t{1} << 28;    // bytes of one storage
constexpr uint64_t kLargestTensors = uint64_t{1} << 28;  // bytes of all tensors together
constexpr size_t kMostValues = 1 << 16;
constexpr size_t kMostTensors = 32;
constexpr uint64_t kLongestText = 1024;
constexpr size_t kMostDimensions = 16;

[[noreturn]] void Reject(const std::string& name, const std::string& problem) {
  base::ThrowBadInput(fmt::format("{}: {}", name, problem));
}

struct Value;
// The Unpickler owns all values: a program can nest them as deep as it likes, and in cycles.
using ValuePtr = Value*;

struct None {};
struct Mark {};
struct Global {
  std::string name;  // "module.attribute"
};
struct Tuple {
  std::vector<ValuePtr> items;
};
struct Dict {
  std::vector<std::pair<ValuePtr, ValuePtr>> items;
};
struct Storage {
  DType dtype;
  std::string key;
  int64_t elements;
};
struct Tensor {
  Storage storage;
  int64_t offset;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;
};

struct Value {
  std::variant<None, Mark, bool, int64_t, std::string, Global, Tuple, Dict, Storage, Tensor> data;
};

std::optional<DType> StorageType(const std::string& global) {
  static const std::map<std::string, DType> types{
      {"torch.DoubleStorage", DType::kF64}, {"torch.FloatStorage", DType::kF32},
      {"torch.HalfStorage", DType::kF16},   {"torch.BFloat16Storage", DType::kBf16},
      {"torch.LongStorage", DType::kI64},   {"torch.IntStorage", DType::kI32},
      {"torch.ShortStorage", DType::kI16},  {"torch.CharStorage", DType::kI8},
      {"torch.ByteStorage", DType::kU8},    {"torch.BoolStorage", DType::kBool}};
  const auto found = types.find(global);
  return found == types.end() ? std::nullopt : std::optional(found->second);
}

// The machine that runs the allowed part of a pickle program. What it builds lives as long as it.
class Unpickler {
 public:
  Unpickler(std::span<const std::byte> program, const std::string& name)
      : program_(program), name_(name) {}
  Unpickler(const Unpickler&) = delete;
  Unpickler& operator=(const Unpickler&) = delete;

  const Value* Run() {
    while (true) {
      const uint8_t op = Byte();
      if (op == '.') return Pop();
      Execute(op);
      if (++instructions_ > kMostValues) Fail("is too large");
    }
  }

 private:
  [[noreturn]] void Fail(const std::string& problem) const {
    Reject(name_, "no voice prompt that can be read: its pickle " + problem);
  }

  std::span<const std::byte> Take(uint64_t count) {
    if (count > program_.size() - at_) Fail("is cut short");
    const auto bytes = program_.subspan(at_, count);
    at_ += count;
    return bytes;
  }
  uint8_t Byte() { return static_cast<uint8_t>(Take(1)[0]); }
  uint64_t Unsigned(size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, Take(bytes).data(), bytes);
    return value;
  }
  std::string Text(uint64_t length) {
    if (length > kLongestText) Fail("has a text that is too long");
    const auto bytes = Take(length);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string Line() {
    std::string line;
    for (char c = static_cast<char>(Byte()); c != '\n'; c = static_cast<char>(Byte())) {
      if (line.size() == kLongestText) Fail("has a text that is too long");
      line += c;
    }
    return line;
  }

  void Push(Value value) {
    values_.push_back(std::move(value));
    stack_.push_back(&values_.back());
  }
  ValuePtr Pop() {
    if (stack_.empty()) Fail("takes from an empty stack");
    ValuePtr value = stack_.back();
    stack_.pop_back();
    return value;
  }
  std::vector<ValuePtr> PopToMark() {
    std::vector<ValuePtr> items;
    for (ValuePtr value = Pop(); !std::holds_alternative<Mark>(value->data); value = Pop()) {
      items.push_back(value);
    }
    std::reverse(items.begin(), items.end());
    return items;
  }
  template <typename T>
  const T& As(ValuePtr value, const char* what) const {
    const T* typed = std::get_if<T>(&value->data);
    if (typed == nullptr) Fail(std::string("has something else where ") + what + " is expected");
    return *typed;
  }

  void Memoize(uint64_t index) {
    if (stack_.empty()) Fail("remembers from an empty stack");
    memo_[index] = stack_.back();
  }
  void Recall(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) Fail("recalls what it has not remembered");
    stack_.push_back(found->second);
  }
  void PushTuple(size_t count) {
    Tuple tuple;
    for (size_t i = 0; i < count; ++i) tuple.items.push_back(Pop());
    std::reverse(tuple.items.begin(), tuple.items.end());
    Push({std::move(tuple)});
  }
  void PushGlobal(const std::string& module, const std::string& attribute) {
    const std::string global = module + "." + attribute;
    if (global != "torch._utils._rebuild_tensor_v2" && global != "collections.OrderedDict" &&
        !StorageType(global)) {
      Reject(name_,
             fmt::format("refused: it asks to run '{}', and a voice prompt holds tensors only",
                         global));
    }
    Push({Global{global}});
  }
  void SetItems(const std::vector<ValuePtr>& items) {
    if (items.size() % 2 != 0 || stack_.empty()) Fail("fills a dict with half a pair");
    Dict* dict = std::get_if<Dict>(&stack_.back()->data);
    if (dict == nullptr) Fail("fills something that is no dict");
    for (size_t i = 0; i < items.size(); i += 2) dict->items.emplace_back(items[i], items[i + 1]);
  }

  // ("storage", StorageType, key, location, elements)
  void PersistentLoad() {
    ValuePtr id = Pop();
    const Tuple& tuple = As<Tuple>(id, "a storage");
    if (tuple.items.size() < 5 || As<std::string>(tuple.items[0], "'storage'") != "storage") {
      Fail("names a storage in an unknown way");
    }
    const std::string type = As<Global>(tuple.items[1], "a storage type").name;
    const auto dtype = StorageType(type);
    if (!dtype) Fail("names a storage of type " + type);
    Storage storage{*dtype, As<std::string>(tuple.items[2], "a storage key"),
                    As<int64_t>(tuple.items[4], "a storage size")};
    if (storage.elements < 0) Fail("has a storage of an impossible size");
    Push({std::move(storage)});
  }

  std::vector<int64_t> Sizes(ValuePtr value) const {
    std::vector<int64_t> sizes;
    for (ValuePtr item : As<Tuple>(value, "a shape").items) {
      sizes.push_back(As<int64_t>(item, "a size"));
      if (sizes.back() < 0 || sizes.size() > kMostDimensions)
        Fail("has a tensor of an impossible shape");
    }
    return sizes;
  }

  void Reduce() {
    ValuePtr arguments = Pop();
    ValuePtr callee = Pop();
    const std::string& function = As<Global>(callee, "a function").name;
    const Tuple& tuple = As<Tuple>(arguments, "arguments");
    if (function == "collections.OrderedDict") {
      if (!tuple.items.empty()) Fail("makes an OrderedDict from values");
      Push({Dict{}});
      return;
    }
    if (function != "torch._utils._rebuild_tensor_v2" || tuple.items.size() < 4) {
      Fail("calls " + function + " in an unknown way");
    }
    Tensor tensor{As<Storage>(tuple.items[0], "a storage"),
                  As<int64_t>(tuple.items[1], "a storage offset"), Sizes(tuple.items[2]),
                  Sizes(tuple.items[3])};
    if (tensor.offset < 0 || tensor.shape.size() != tensor.strides.size()) {
      Fail("has a tensor of an impossible shape");
    }
    Push({std::move(tensor)});
  }

  void Execute(uint8_t op) {
    switch (op) {
      case 0x80:  // PROTO
        if (const uint8_t version = Byte(); version < 2 || version > 5)
          Fail("has an unknown version");
        break;
      case 0x95:  // FRAME
        Take(8);
        break;
      case '(':
        Push({Mark{}});
        break;
      case '}':
        Push({Dict{}});
        break;
      case ')':
        Push({Tuple{}});
        break;
      case 'N':
        Push({None{}});
        break;
      case 0x88:
      case 0x89:
        Push({op == 0x88});
        break;
      case 'J': {
        const auto bits = static_cast<uint32_t>(Unsigned(4));
        Push({static_cast<int64_t>(static_cast<int32_t>(bits))});
        break;
      }
      case 'K':
        Push({static_cast<int64_t>(Byte())});
        break;
      case 'M':
        Push({static_cast<int64_t>(Unsigned(2))});
        break;
      case 0x8a: {  // LONG1
        const size_t bytes = Byte();
        if (bytes > 8) Fail("has a number of more than 64 bits");
        uint64_t bits = Unsigned(bytes);
        const bool negative = bytes > 0 && bytes < 8 && (bits >> (8 * bytes - 1) & 1) != 0;
        if (negative) bits |= ~uint64_t{0} << (8 * bytes);
        Push({static_cast<int64_t>(bits)});
        break;
      }
      case 'X':
        Push({Text(Unsigned(4))});
        break;
      case 0x8c:  // SHORT_BINUNICODE
        Push({Text(Byte())});
        break;
      case 'q':
        Memoize(Byte());
        break;
      case 'r':
        Memoize(Unsigned(4));
        break;
      case 0x94:  // MEMOIZE
        Memoize(memo_.size());
        break;
      case 'h':
        Recall(Byte());
        break;
      case 'j':
        Recall(Unsigned(4));
        break;
      case 't': {
        Tuple tuple{PopToMark()};
        Push({std::move(tuple)});
        break;
      }
      case 0x85:
      case 0x86:
      case 0x87:
        PushTuple(op - 0x84U);
        break;
      case 'c': {
        const std::string module = Line();
        PushGlobal(module, Line());
        break;
      }
      case 0x93: {  // STACK_GLOBAL
        ValuePtr attribute = Pop();
        ValuePtr module = Pop();
        const std::string& module_name = As<std::string>(module, "a module");
        PushGlobal(module_name, As<std::string>(attribute, "a name"));
        break;
      }
      case 'Q':
        PersistentLoad();
        break;
      case 'R':
        Reduce();
        break;
      case 's': {
        ValuePtr value = Pop();
        ValuePtr key = Pop();
        SetItems({key, value});
        break;
      }
      case 'u':
        SetItems(PopToMark());
        break;
      default:
        Fail(fmt::format("has the instruction 0x{:02x}, which no dict of tensors needs", op));
    }
  }

  std::span<const std::byte> program_;
  const std::string& name_;
  size_t at_ = 0;
  size_t instructions_ = 0;
  std::deque<Value> values_;  // of all that was ever pushed; a deque, so that they stay in place
  std::vector<ValuePtr> stack_;
  std::map<uint64_t, ValuePtr> memo_;
};

// Copies a strided view of a storage into row-major order, every access checked beforehand. Strides
// of 0 make a tensor larger than its storage, so it may have `most_bytes` only.
OwnedTensor Materialise(const Tensor& tensor, const std::vector<std::byte>& storage,
                        uint64_t most_bytes, const std::string& name) {
  const size_t size = SizeOf(tensor.storage.dtype);
  OwnedTensor owned{tensor.storage.dtype, tensor.shape, {}};
  int64_t count = 1;
  int64_t last = tensor.offset;
  bool overflow = false;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    overflow |= __builtin_mul_overflow(count, tensor.shape[i], &count);
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(std::max<int64_t>(tensor.shape[i] - 1, 0), tensor.strides[i],
                                       &reach);
    overflow |= __builtin_add_overflow(last, reach, &last);
  }
  if (static_cast<uint64_t>(tensor.storage.elements) > storage.size() / size) {
    Reject(name,
           fmt::format("damaged: storage '{}' is cut short: it has {} bytes, {} elements of {} "
                       "bytes are announced",
                       tensor.storage.key, storage.size(), tensor.storage.elements, size));
  }
  if (overflow || (count > 0 && last >= tensor.storage.elements)) {
    Reject(name, "damaged: a tensor reaches beyond its storage");
  }
  if (static_cast<uint64_t>(count) > most_bytes / size) {
    Reject(name, "no voice prompt: its tensors are too large");
  }
  owned.data.resize(static_cast<size_t>(count) * size);
  std::vector<int64_t> index(tensor.shape.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    int64_t from = tensor.offset;
    for (size_t d = 0; d < index.size(); ++d) from += index[d] * tensor.strides[d];
    std::memcpy(owned.data.data() + static_cast<size_t>(i) * size,
                storage.data() + static_cast<size_t>(from) * size, size);
    for (size_t d = index.size(); d-- > 0;) {
      if (++index[d] < tensor.shape[d]) break;
      index[d] = 0;
    }
  }
  return owned;
}

struct ZipCloser {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct EntryCloser {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};

class Archive {
 public:
  Archive(std::span<const std::byte> bytes, const std::string& name) : name_(name) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
    zip_t* archive = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
    if (archive == nullptr) {
      const std::string reason = zip_error_strerror(&error);
      zip_error_fini(&error);
      if (source != nullptr) zip_source_free(source);
      Reject(name_, "no torch.save archive: " + reason +
                        " (files of torch before 1.6 have to be saved again)");
    }
    zip_error_fini(&error);
    archive_.reset(archive);
    // All entries lie in one folder, whose name is the writer's choice.
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive_.get(), 0); ++i) {
      const char* entry = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
      constexpr std::string_view kProgram = "/data.pkl";
      const std::string_view path = entry == nullptr ? "" : entry;
      if (path.size() > kProgram.size() && path.substr(path.size() - kProgram.size()) == kProgram) {
        folder_ = path.substr(0, path.size() - kProgram.size() + 1);
        return;
      }
    }
    Reject(name_, "no torch.save archive: it holds no data.pkl");
  }

  std::optional<std::vector<std::byte>> Read(const std::string& entry_name) const {
    const std::string path = folder_ + entry_name;
    zip_stat_t status;
    zip_stat_init(&status);
    if (zip_stat(archive_.get(), path.c_str(), 0, &status) != 0) return std::nullopt;
    if ((status.valid & ZIP_STAT_SIZE) == 0 || status.size > kLargestEntry) {
      Reject(name_, "damaged: '" + path + "' has an impossible size");
    }
    const std::unique_ptr<zip_file_t, EntryCloser> entry(
        zip_fopen(archive_.get(), path.c_str(), 0));
    std::vector<std::byte> bytes;
    // Grown as it comes, not by the size that the archive claims.
    constexpr size_t kPiece = 1 << 20;
    while (entry != nullptr) {
      const size_t have = bytes.size();
      bytes.resize(have + kPiece);
      const zip_int64_t got = zip_fread(entry.get(), bytes.data() + have, kPiece);
      bytes.resize(have + static_cast<size_t>(std::max<zip_int64_t>(got, 0)));
      if (got == 0 && bytes.size() == status.size) return bytes;
      if (got <= 0 || bytes.size() > status.size) break;
    }
    Reject(name_, "damaged: '" + path + "' cannot be unpacked");
  }

 private:
  std::string name_;
  std::unique_ptr<zip_t, ZipCloser> archive_;
  std::string folder_;
};

}  // namespace

TensorMap ParseTorchPickle(std::span<const std::byte> program, const StorageReader& storage,
                           const std::string& name) {
  Unpickler unpickler(program, name);
  const Value* root = unpickler.Run();
  const Dict* dict = std::get_if<Dict>(&root->data);
  if (dict == nullptr) Reject(name, "no voice prompt: its object is no dict");
  TensorMap tensors;
  uint64_t bytes_left = kLargestTensors;
  for (const auto& [key, value] : dict->items) {
    const auto* text = std::get_if<std::string>(&key->data);
    const auto* tensor = std::get_if<Tensor>(&value->data);
    if (text == nullptr || tensor == nullptr || tensors.size() >= kMostTensors) {
      Reject(name, "no voice prompt: its dict holds something else than a few named tensors");
    }
    if (tensors.contains(*text)) Reject(name, "damaged: its dict has a name twice");
    OwnedTensor owned = Materialise(*tensor, storage(tensor->storage.key), bytes_left, name);
    bytes_left -= owned.data.size();
    tensors[*text] = std::move(owned);
  }
  return tensors;
}

TensorMap ParseTorchArchive(std::span<const std::byte> bytes, const std::string& name) {
  const Archive archive(bytes, name);
  const auto order = archive.Read("byteorder");
  if (order &&
      std::string(reinterpret_cast<const char*>(order->data()), order->size()) != "little") {
    Reject(name, "was saved on a big-endian machine; save it again on a little-endian one");
  }
  const auto program = archive.Read("data.pkl");
  if (!program) Reject(name, "no torch.save archive: its data.pkl cannot be found");
  return ParseTorchPickle(
      *program,
      [&](const std::string& key) {
        auto storage = archive.Read("data/" + key);
        if (!storage) Reject(name, "damaged: storage '" + key + "' is missing");
        return std::move(*storage);
      },
      name);
}

TensorMap ReadTorchArchive(const std::string& path) {
  const int descriptor =
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not wait
  if (descriptor < 0) Reject(path, "cannot be opened: " + base::ErrnoText(errno));
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
    close(descriptor);
    Reject(path, "is not a regular file with something in it");
  }
  const auto size = static_cast<size_t>(status.st_size);
  void* mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  close(descriptor);
  if (mapping == MAP_FAILED) base::ThrowResource(path + ": cannot be mapped into memory");
  const auto unmap = [size](void* address) { munmap(address, size); };
  const std::unique_ptr<void, decltype(unmap)> guard(mapping, unmap);
  return ParseTorchArchive({static_cast<const std::byte*>(mapping), size}, path);
}

}  // namespace ppx::weights
