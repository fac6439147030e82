// lib/nn/packed_store.h: packed matrices by name, kept in a file from one run to the next.
//
// The file is written whole or not at all, so two programs may make the same one at the same time.
// Who names the file sees to it that its name changes with the weights and with the form.
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "kernels/packed_matrix.h"

namespace ppx::nn {

class PackedStore {
 public:
  // Reads the file where there is one that this version wrote, into memory of its own; anything
  // else counts as none. An empty path: nothing is ever read or written.
  PackedStore(std::string path, kernels::WeightForm form);

  // True where the file was read: it holds all matrices of its model.
  bool complete() const { return complete_; }

  // Nothing where there is none of this name and size.
  std::optional<kernels::PackedMatrix> Find(const std::string& name, int64_t outputs,
                                            int64_t inputs) const;
  void Add(const std::string& name, const kernels::PackedMatrix& matrix);

  // What the file says beside the matrices; empty where it was not read.
  const std::string& notes() const { return notes_; }
  // Writes all that was added. A file that cannot be written is no error: false.
  bool Save(const std::string& notes);

 private:
  struct Bytes {
    const std::byte* data = nullptr;
    size_t size = 0;
    std::shared_ptr<const void> owner;
  };

  void Read();

  std::string path_;
  kernels::WeightForm form_;
  bool complete_ = false;
  std::string notes_;
  std::map<std::string, Bytes> matrices_;
};

}  // namespace ppx::nn
