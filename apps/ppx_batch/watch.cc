#include "ppx_batch/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/console.h"

namespace ppx::app {
namespace {

using Json = nlohmann::ordered_json;

// Frames a second, and the seconds that the rest will take; 0 where nobody can tell yet.
struct Pace {
  double real_time_factor = 0;
  double eta_s = 0;
};

Pace PaceOf(const batch::BatchSnapshot& snapshot, double frame_s) {
  Pace pace;
  if (snapshot.elapsed_s <= 0 || snapshot.frames_stepped == 0) return pace;
  const double frames_per_s = static_cast<double>(snapshot.frames_stepped) / snapshot.elapsed_s;
  pace.real_time_factor = frames_per_s * frame_s;
  const int64_t left = snapshot.frames_total - snapshot.frames_done;
  pace.eta_s = static_cast<double>(std::max<int64_t>(left, 0)) / frames_per_s;
  return pace;
}

void PrintJson(const Json& json) {
  fmt::print(stderr, "{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

BatchWatch::~BatchWatch() { Clear(); }

void BatchWatch::Clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

void BatchWatch::Progress(const batch::BatchSnapshot& snapshot) {
  const bool last = snapshot.done + snapshot.failed == snapshot.total;
  if (json_) {
    constexpr std::chrono::milliseconds kEvery{1000};
    const auto now = Clock::now();
    if (now - last_ < kEvery && !last) return;
    last_ = now;
    const Pace pace = PaceOf(snapshot, frame_s_);
    PrintJson({{"event", "progress"},
               {"total", snapshot.total},
               {"done", snapshot.done},
               {"failed", snapshot.failed},
               {"audio_s_done", snapshot.audio_s_done},
               {"slots_used", snapshot.slots_used},
               {"slots", snapshot.capacity},
               {"elapsed_s", snapshot.elapsed_s},
               {"real_time_factor", pace.real_time_factor},
               {"eta_s", pace.eta_s}});
    return;
  }
  if (!line_ || !CanDraw()) return;
  const Pace pace = PaceOf(snapshot, frame_s_);
  const double share = snapshot.frames_total > 0 ? static_cast<double>(snapshot.frames_done) /
                                                       static_cast<double>(snapshot.frames_total)
                                                 : 1.0;
  std::string line = fmt::format("\r\033[K{} {}/{} dialogues  {:.0f} s of audio  slots {}/{}",
                                 BarText(share), snapshot.done, snapshot.total,
                                 snapshot.audio_s_done, snapshot.slots_used, snapshot.capacity);
  if (pace.real_time_factor > 0) {
    line +=
        fmt::format("  {:.2f}x real time  ETA {}", pace.real_time_factor, ClockText(pace.eta_s));
  }
  if (snapshot.failed > 0) line += fmt::format("  {} failed", snapshot.failed);
  fmt::print(stderr, "{}", line);
  std::fflush(stderr);
  drawn_ = true;
}

void BatchWatch::SteppedDown(const std::string& device, int from_slots, int to_slots,
                             size_t dropped, const std::string& why) {
  Clear();
  if (json_) {
    PrintJson({{"event", "stepped_down"},
               {"device", device},
               {"from_slots", from_slots},
               {"to_slots", to_slots},
               {"dropped", dropped},
               {"why", why}});
    return;
  }
  Warn(fmt::format("{}: out of memory with {} dialogues at once; going on with {}, {} begin again",
                   device, from_slots, to_slots, dropped));
}

void BatchWatch::Failed(size_t index, const std::string& error) {
  Clear();
  if (json_) {
    PrintJson({{"event", "failed"}, {"id", plan_[index].id}, {"error", error}});
    return;
  }
  fmt::print(stderr, "failed: {}: {}\n", plan_[index].id, error);
}

}  // namespace ppx::app
