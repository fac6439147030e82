// lib/batch/journal_sink.h: what the scheduler reports, into the journal.
#pragma once

#include <cstddef>
#include <string>

#include "batch/journal.h"
#include "batch/ledger.h"
#include "batch/plan.h"
#include "batch/scheduler.h"

namespace ppx::batch {

// All three outlive the sink. Where the files of an older key are about to be replaced, the journal
// says so first: a kill half-way must not leave the old entry standing over new files.
class JournalSink final : public OutcomeSink {
 public:
  JournalSink(const Plan& plan, const Ledger& ledger, JournalWriter& writer)
      : plan_(plan), ledger_(ledger), writer_(writer) {}

  void Writing(size_t index) override;
  void Done(size_t index, const DialogueOutcome& outcome, int capacity) override;
  void Failed(size_t index, const std::string& error, base::ErrorCode code) override;

 private:
  const Plan& plan_;
  const Ledger& ledger_;
  JournalWriter& writer_;
};

}  // namespace ppx::batch
