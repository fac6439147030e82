#include "hub/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/user_folders.h"

namespace ppx::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kVoiceSuffixes{".safetensors", ".pt", ".wav"};
constexpr size_t kMostVoicesNamed = 40;
constexpr size_t kMostRevisionsNamed = 10;

// Follows links; a link that leads nowhere has no file. What cannot be looked at (a folder that may
// not be entered) is an error of its own: "not found" would send the user to download it again.
fs::file_type TypeOf(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) {
    base::ThrowBadInput(fmt::format("{}: {}", path.string(), error.message()));
  }
  return status.type();
}

bool IsFile(const fs::path& path) { return TypeOf(path) == fs::file_type::regular; }
bool IsFolder(const fs::path& path) { return TypeOf(path) == fs::file_type::directory; }

bool IsDanglingLink(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(path, error)) &&
         TypeOf(path) == fs::file_type::not_found;
}

// Names in a folder, sorted; none where it cannot be read.
std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  while (!error && entry != fs::directory_iterator()) {
    names.push_back(entry->path().filename().string());
    entry.increment(error);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Listed(const std::vector<std::string>& names, size_t most) {
  const size_t shown = std::min(names.size(), most);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

fs::path HubCache() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (auto folder = base::EnvironmentFolder(variable)) return *folder;
  }
  if (auto folder = base::EnvironmentFolder("HF_HOME")) return *folder / "hub";
  return base::UserCache() / "huggingface" / "hub";
}

std::string HowToFetch(const std::string& repository) {
  if (repository != kDefaultRepository) {
    return fmt::format(
        "to get it, run scripts/fetch-model --repo {}, "
        "or name a folder that has it: --model FOLDER",
        repository);
  }
  return fmt::format(
      "it is a gated model: accept its licence on https://huggingface.co/{}, run 'hf auth login', "
      "then scripts/fetch-model (16.7 GB); or name a folder that has it: --model FOLDER",
      repository);
}

// ---- the hub's cache --------------------------------------------------------

struct HubName {
  std::string repository;  // "ORG/NAME"
  std::string revision;    // empty: not given

  std::string folded() const {  // "ORG--NAME"
    const size_t slash = repository.find('/');
    return repository.substr(0, slash) + "--" + repository.substr(slash + 1);
  }
};

// One component of a path that names something below the folder it is joined to.
bool IsPlainName(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), plain);
}

std::optional<HubName> ParseHubName(const std::string& text) {
  HubName name;
  const size_t at = text.find('@');
  name.repository = text.substr(0, at);
  if (at != std::string::npos) {
    name.revision = text.substr(at + 1);
    // Branch names may have slashes: "pr/3".
    for (const fs::path& part : fs::path(name.revision)) {
      if (!IsPlainName(part.string())) return std::nullopt;
    }
    if (name.revision.empty()) return std::nullopt;
  }
  const size_t slash = name.repository.find('/');
  if (slash == std::string::npos) return std::nullopt;
  if (!IsPlainName(name.repository.substr(0, slash))) return std::nullopt;
  if (!IsPlainName(name.repository.substr(slash + 1))) return std::nullopt;
  return name;
}

// The commit in a ref file; none where there is no such file.
std::optional<std::string> ReadRef(const fs::path& path) {
  if (!IsFile(path)) return std::nullopt;
  std::ifstream file(path);
  std::string commit;
  if (!(file >> commit) || !IsPlainName(commit)) {
    base::ThrowBadInput(
        fmt::format("{}: does not hold a commit; the cache is damaged, download the model again",
                    path.string()));
  }
  return commit;
}

std::string FindCommit(const HubName& name, const fs::path& storage) {
  const std::vector<std::string> snapshots = NamesIn(storage / "snapshots");
  const std::string revision = name.revision.empty() ? "main" : name.revision;
  if (auto commit = ReadRef(storage / "refs" / revision)) {
    if (IsFolder(storage / "snapshots" / *commit)) return *commit;
    base::ThrowBadInput(fmt::format("{}: revision {} is commit {}, which is not downloaded; {}",
                                    storage.string(), revision, *commit,
                                    HowToFetch(name.repository)));
  }
  std::vector<std::string> matches;
  for (const std::string& commit : snapshots) {
    if (name.revision.empty() || commit.compare(0, revision.size(), revision) == 0) {
      matches.push_back(commit);
    }
  }
  if (matches.size() == 1) return matches.front();
  if (matches.size() > 1) {
    base::ThrowBadInput(
        fmt::format("{}: there are several snapshots{}: {}; choose one with {}@COMMIT",
                    storage.string(), name.revision.empty() ? "" : " of " + name.revision,
                    Listed(matches, kMostRevisionsNamed), name.repository));
  }
  if (snapshots.empty()) {
    base::ThrowBadInput(fmt::format("{}: nothing of {} was downloaded yet; {}", storage.string(),
                                    name.repository, HowToFetch(name.repository)));
  }
  base::ThrowBadInput(fmt::format(
      "{}: there is no revision {}; downloaded are {}; to get another, run: scripts/fetch-model "
      "--repo {} --revision {}",
      storage.string(), revision, Listed(snapshots, kMostRevisionsNamed), name.repository,
      revision));
}

// ---- the model's folder -----------------------------------------------------

struct Place {
  fs::path folder;
  std::string source;
  std::optional<HubName> hub;  // set for a snapshot in the hub's cache
  fs::path storage;            // models--ORG--NAME of it
  fs::path unpacked_voices;    // where scripts/fetch-model unpacks its voices
};

Place FindPlace(const std::string& model) {
  if (!model.empty() && IsFolder(model)) {
    Place place;
    place.folder = model;
    place.source = "folder " + model;
    return place;
  }
  const std::string text = model.empty() ? kDefaultRepository : model;
  const std::optional<HubName> name = ParseHubName(text);
  if (!name) {
    if (TypeOf(text) != fs::file_type::not_found) {
      base::ThrowBadInput(fmt::format(
          "{}: is not a folder; --model takes the folder, single files go to --moshi-weight, "
          "--mimi-weight and --tokenizer",
          text));
    }
    base::ThrowBadInput(fmt::format(
        "{}: no such folder, and not a name on the hub (ORG/NAME or ORG/NAME@REVISION, like {})",
        text, kDefaultRepository));
  }
  Place place;
  const fs::path cache = HubCache();
  place.hub = name;
  place.storage = cache / ("models--" + name->folded());
  if (!IsFolder(place.storage)) {
    base::ThrowBadInput(fmt::format(
        "{}: {} is not in the hub's cache {}{}; {}", model.empty() ? "no model given" : model,
        name->repository, cache.string(), model.empty() ? "" : ", and there is no such folder",
        HowToFetch(name->repository)));
  }
  const std::string commit = FindCommit(*name, place.storage);
  place.folder = place.storage / "snapshots" / commit;
  place.source = fmt::format("snapshot {} of {} in {}", commit, name->repository, cache.string());
  place.unpacked_voices = base::ToolkitCache() / "voices" / name->folded() / commit;
  return place;
}

// The names of the model's files: those of the release, unless a config gives others.
struct FileNames {
  std::string moshi = "model.safetensors";
  std::string mimi = "tokenizer-e351c8d8-checkpoint125.safetensors";
  std::string tokenizer = "tokenizer_spm_32k_3.model";
};

FileNames ReadFileNames(const fs::path& config) {
  std::ifstream file(config);
  if (!file) base::ThrowBadInput(config.string() + ": cannot be opened");
  const nlohmann::json fields = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!fields.is_object()) base::ThrowBadInput(config.string() + ": is not one JSON object");
  FileNames names;
  const auto read = [&](const char* field, std::string& name) {
    const auto found = fields.find(field);
    if (found == fields.end() || found->is_null()) return;
    const std::string text = found->is_string() ? found->get<std::string>() : "";
    const fs::path path(text);
    // A downloaded config must not point a program at files elsewhere.
    if (text.empty() || path.is_absolute() ||
        std::find(path.begin(), path.end(), fs::path("..")) != path.end()) {
      base::ThrowBadInput(fmt::format(
          "{}: field '{}' is {}, expected the name of a file in the folder", config.string(), field,
          found->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
    }
    name = text;
  };
  read("moshi_name", names.moshi);
  read("mimi_name", names.mimi);
  read("tokenizer_name", names.tokenizer);
  return names;
}

// What a clone of the repository without Git LFS has in the place of a large file.
bool IsLfsPointer(const fs::path& path) {
  constexpr std::string_view kFirstWords = "version https://git-lfs";
  std::ifstream file(path, std::ios::binary);
  std::string start(kFirstWords.size(), '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return file && start == kFirstWords;
}

size_t CountUnfinished(const fs::path& folder) {
  const std::vector<std::string> names = NamesIn(folder);
  return static_cast<size_t>(std::count_if(names.begin(), names.end(), [](const std::string& name) {
    return fs::path(name).extension() == ".incomplete";
  }));
}

[[noreturn]] void ThrowMissing(const Place& place, const std::vector<std::string>& missing) {
  std::string why;
  // `hf download` keeps what it has of a file under another name, also for --local-dir.
  const fs::path unfinished_folder =
      place.hub ? place.storage / "blobs" : place.folder / ".cache" / "huggingface" / "download";
  const size_t unfinished = CountUnfinished(unfinished_folder);
  const bool dangling = std::any_of(missing.begin(), missing.end(), [&](const std::string& name) {
    return IsDanglingLink(place.folder / name);
  });
  if (unfinished > 0) {
    why = fmt::format("the download has not finished ({} *.incomplete in {}); ", unfinished,
                      unfinished_folder.string());
  } else if (dangling) {
    why = "links to downloaded data lead nowhere (it was removed, or the download was cut); ";
  }
  std::string mend;
  if (place.hub) {
    mend = HowToFetch(place.hub->repository);
  } else if (unfinished > 0) {
    mend = fmt::format("to go on, run: scripts/fetch-model --to {}", place.folder.string());
  } else {
    mend =
        "name the files with --moshi-weight, --mimi-weight and --tokenizer, or in its config.json "
        "(moshi_name, mimi_name, tokenizer_name); scripts/fetch-model downloads the released model";
  }
  base::ThrowBadInput(fmt::format("{}: missing {}; {}{}", place.folder.string(),
                                  Listed(missing, missing.size()), why, mend));
}

void CheckGiven(const std::string& path, const char* option) {
  if (path.empty() || IsFile(path)) return;
  base::ThrowBadInput(fmt::format(
      "{}: {} ({})", path,
      TypeOf(path) == fs::file_type::not_found ? "no such file" : "is not a file", option));
}

std::string FindVoices(const ModelRequest& request, const Place& place) {
  if (!request.voice_prompt_dir.empty()) {
    if (IsFolder(request.voice_prompt_dir)) return request.voice_prompt_dir;
    base::ThrowBadInput(request.voice_prompt_dir + ": no such folder (--voice-prompt-dir)");
  }
  for (const fs::path& folder : {place.folder / "voices", place.unpacked_voices}) {
    if (!folder.empty() && IsFolder(folder)) return folder.string();
  }
  return "";
}

}  // namespace

bool InHubCache(const std::string& repository) {
  const std::optional<HubName> name = ParseHubName(repository);
  return name && IsFolder(HubCache() / ("models--" + name->folded()));
}

ModelFiles LocateModel(const ModelRequest& request) {
  CheckGiven(request.moshi_weight, "--moshi-weight");
  CheckGiven(request.mimi_weight, "--mimi-weight");
  CheckGiven(request.tokenizer, "--tokenizer");
  CheckGiven(request.config, "--config");

  const bool all_given =
      !request.moshi_weight.empty() && !request.mimi_weight.empty() && !request.tokenizer.empty();
  Place place;
  if (request.model.empty() && all_given) {
    place.folder = fs::path(request.moshi_weight).parent_path();
    place.source = "the files given one by one";
  } else {
    place = FindPlace(request.model);
  }

  const fs::path own_config = place.folder / "config.json";
  const bool has_own_config = IsFile(own_config);
  if (!has_own_config && IsDanglingLink(own_config)) ThrowMissing(place, {"config.json"});
  ModelFiles files;
  files.source = place.source;
  files.config = request.config.empty() && has_own_config ? own_config.string() : request.config;

  FileNames names;
  if (!all_given && has_own_config) {
    names = ReadFileNames(own_config);
  } else if (!all_given && !request.config.empty()) {
    names = ReadFileNames(request.config);
  }
  std::vector<std::string> missing;
  const auto find = [&](const std::string& given, const std::string& name) {
    if (!given.empty()) return given;
    const fs::path path = place.folder / name;
    if (!IsFile(path)) {
      missing.push_back(name);
    } else if (IsLfsPointer(path)) {
      base::ThrowBadInput(path.string() +
                          ": is a Git LFS pointer, not the file; run 'git lfs pull'");
    }
    return path.string();
  };
  files.moshi_weight = find(request.moshi_weight, names.moshi);
  files.mimi_weight = find(request.mimi_weight, names.mimi);
  files.tokenizer = find(request.tokenizer, names.tokenizer);
  if (!missing.empty()) ThrowMissing(place, missing);
  files.voices_dir = FindVoices(request, place);
  return files;
}

std::string FindVoice(const std::string& name, const std::vector<std::string>& folders) {
  if (name.empty()) base::ThrowBadInput("no voice prompt given; name a file or a voice (NATF0)");
  if (IsFile(name)) return name;
  std::vector<std::string> searched;
  for (const std::string& folder : folders) {
    if (folder.empty()) continue;
    searched.push_back(folder);
    const fs::path path = fs::path(folder) / name;
    if (IsFile(path)) return path.string();
    for (const char* suffix : kVoiceSuffixes) {
      fs::path with_suffix = path;
      with_suffix += suffix;
      if (IsFile(with_suffix)) return with_suffix.string();
    }
  }

  std::set<std::string> voices;
  for (const std::string& folder : searched) {
    for (const std::string& file : NamesIn(folder)) {
      const fs::path path(file);
      const bool is_voice = std::find(kVoiceSuffixes.begin(), kVoiceSuffixes.end(),
                                      path.extension()) != kVoiceSuffixes.end();
      if (is_voice && file.front() != '.') voices.insert(path.stem().string());
    }
  }
  const std::string looked = searched.empty() ? "there is no voices folder to look in"
                                              : "looked in " + Listed(searched, searched.size());
  if (voices.empty()) {
    base::ThrowBadInput(
        fmt::format("{}: no such voice prompt; {}; give the path of a WAV, .pt or .safetensors "
                    "file, or a folder of "
                    "them to --voice-prompt-dir; scripts/fetch-model gets the released voices",
                    name, looked));
  }
  base::ThrowBadInput(fmt::format(
      "{}: no such voice prompt; {}; voices there: {}", name, looked,
      Listed(std::vector<std::string>(voices.begin(), voices.end()), kMostVoicesNamed)));
}

}  // namespace ppx::hub
