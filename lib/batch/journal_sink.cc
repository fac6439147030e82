#include "batch/journal_sink.h"

#include <span>

namespace ppx::batch {

void JournalSink::Writing(size_t index) {
  const PlannedDialogue& dialogue = plan_[index];
  const DoneEntry* before = ledger_.Done(dialogue.id);
  if (before != nullptr && before->key != dialogue.key) writer_.Redo({&dialogue.id, 1});
}

void JournalSink::Done(size_t index, const DialogueOutcome& outcome, int capacity) {
  const PlannedDialogue& dialogue = plan_[index];
  writer_.Done(
      {dialogue.id, dialogue.key, outcome.files, outcome.audio_s, capacity, outcome.details});
}

void JournalSink::Failed(size_t index, const std::string& error, base::ErrorCode code) {
  const PlannedDialogue& dialogue = plan_[index];
  writer_.Failed({dialogue.id, dialogue.key, error, code});
}

}  // namespace ppx::batch
