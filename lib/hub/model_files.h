// lib/hub/model_files.h: which files on this machine make up a model, and which one is a voice.
//
// A model is a folder, or a name in the Hugging Face hub's cache as `hf download` lays it out:
//   models--ORG--NAME/refs/REVISION           the commit that a branch or tag stood at
//   models--ORG--NAME/snapshots/COMMIT/FILE   links to ../../blobs/HASH
// The cache is $HF_HUB_CACHE, else $HUGGINGFACE_HUB_CACHE, else $HF_HOME/hub, else
// $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub.
//
// Nothing here downloads, opens weights or checks their sizes. Every function reads the environment
// and the file system anew; none keeps state.
#pragma once

#include <string>
#include <vector>

namespace ppx::hub {

// The repository that is looked for where no model is named.
inline constexpr const char* kDefaultRepository = "nvidia/personaplex-7b-v1";

// What the user asked for. Empty means: not given.
struct ModelRequest {
  // A folder, or "ORG/NAME" or "ORG/NAME@REVISION" in the hub's cache. Where a folder of that very
  // name exists it is meant. REVISION is a branch, a tag, or the beginning of a commit.
  std::string model;
  // Files that take the place of the model's own. With all three weights and tokenizer given, no
  // model is needed: config.json and voices/ are then looked for beside `moshi_weight`.
  std::string moshi_weight;
  std::string mimi_weight;
  std::string tokenizer;
  std::string config;
  std::string voice_prompt_dir;
};

struct ModelFiles {
  std::string config;  // empty where the model has none: the released sizes apply
  std::string moshi_weight;
  std::string mimi_weight;
  std::string tokenizer;
  std::string voices_dir;  // empty where there is none
  std::string source;      // for people: "folder X", "snapshot COMMIT of ORG/NAME in CACHE"
};

// Whether the hub's cache holds something of the repository ("ORG/NAME"), be it all of it or not.
bool InHubCache(const std::string& repository);

// The files of the model, all of which exist. File names are those in the model's config.json
// (moshi_name, mimi_name, tokenizer_name), in `request.config` where the model has no config.json,
// or those of the released model.
//
// The voices are in `voice_prompt_dir`, in voices/ of the model, or where scripts/fetch-model
// unpacks them for a model in the hub's cache: CACHE/voices/ORG--NAME/COMMIT, where CACHE is
// $PPX_CACHE, else $XDG_CACHE_HOME/ppx, else ~/.cache/ppx.
//
// Throws base::Error (kBadInput) that says what is missing and how to get it.
ModelFiles LocateModel(const ModelRequest& request);

// The file of a voice prompt: `name` itself where it is a file, else in the first of `folders` that
// has it: NAME, NAME.safetensors, NAME.pt or NAME.wav, in this order. Empty folders are skipped.
//
// Throws base::Error (kBadInput) that lists the voices there are and where it looked.
std::string FindVoice(const std::string& name, const std::vector<std::string>& folders);

}  // namespace ppx::hub
