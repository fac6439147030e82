// lib/base/progress.h: how long work tells how far it is. Libraries call it, apps implement it.
#pragma once

#include <cstdint>
#include <string_view>

namespace ppx::base {

class Progress {
 public:
  virtual ~Progress() = default;

  // A stage of `total` units begins; `total` is 0 where it is not known.
  virtual void Begin(std::string_view stage, int64_t total) = 0;
  // `done` units of the stage are finished. Called often: implementations limit their own output.
  virtual void Update(int64_t done) = 0;
  virtual void End() = 0;
};

// Says nothing.
class NoProgress final : public Progress {
 public:
  void Begin(std::string_view /*stage*/, int64_t /*total*/) override {}
  void Update(int64_t /*done*/) override {}
  void End() override {}
};

}  // namespace ppx::base
