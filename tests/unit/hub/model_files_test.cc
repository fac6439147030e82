#include "hub/model_files.h"

#include <fmt/format.h>

#include <functional>

#include "base/error.h"
#include "hub_test_util.h"
#include "support/doctest.h"

namespace ppx::hub {
namespace {

constexpr const char* kMimi = "tokenizer-e351c8d8-checkpoint125.safetensors";
constexpr const char* kTokenizer = "tokenizer_spm_32k_3.model";

// The text of the kBadInput error that `action` throws.
std::string BadInput(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    CHECK(error.code() == base::ErrorCode::kBadInput);
    return error.what();
  }
  FAIL("no error was thrown");
  return "";
}

std::string LocateError(const ModelRequest& request) {
  return BadInput([&] { LocateModel(request); });
}

void WriteReleased(const fs::path& folder) {
  for (const char* name : {"model.safetensors", kMimi, kTokenizer}) WriteFile(folder / name);
}

// An environment in which everything is below one temporary folder, and nothing is in it.
struct Home {
  TempFolder folder;
  ScopedEnvironment environment{
      {"HOME", folder.path().string()},        {"HF_HUB_CACHE", std::nullopt},
      {"HUGGINGFACE_HUB_CACHE", std::nullopt}, {"HF_HOME", std::nullopt},
      {"XDG_CACHE_HOME", std::nullopt},        {"PPX_CACHE", std::nullopt}};

  fs::path hub() const { return folder.path() / ".cache/huggingface/hub"; }
};

// A snapshot as `hf download` leaves it: links to blobs.
fs::path WriteSnapshot(const fs::path& hub, const std::string& folded, const std::string& commit,
                       const std::string& ref) {
  const fs::path storage = hub / ("models--" + folded);
  const fs::path snapshot = storage / "snapshots" / commit;
  fs::create_directories(snapshot);
  for (const char* name : {"model.safetensors", kMimi, kTokenizer}) {
    WriteFile(storage / "blobs" / (commit + name));
    fs::create_symlink(fs::path("../../blobs") / (commit + name), snapshot / name);
  }
  if (!ref.empty()) WriteFile(storage / "refs" / ref, commit);
  return snapshot;
}

TEST_CASE("a folder with the released names needs no config") {
  const Home home;
  const TempFolder folder;
  WriteReleased(folder.path());
  const ModelFiles files = LocateModel(Model(folder.path().string()));
  CHECK(files.config.empty());
  CHECK(files.moshi_weight == folder / "model.safetensors");
  CHECK(files.mimi_weight == folder / kMimi);
  CHECK(files.tokenizer == folder / kTokenizer);
  CHECK(files.voices_dir.empty());
  CHECK(files.source == "folder " + folder.path().string());
}

TEST_CASE("the bundled checkpoint is found by the names in its config") {
  const std::string tiny = std::string(PPX_SOURCE_DIR) + "/configs/tiny";
  const ModelFiles files = LocateModel(Model(tiny));
  CHECK(files.config == tiny + "/config.json");
  CHECK(files.mimi_weight == tiny + "/mimi.safetensors");
  CHECK(files.tokenizer == tiny + "/tokenizer_spm.model");
}

TEST_CASE("a config names the files of its folder and no others") {
  const TempFolder folder;
  WriteReleased(folder.path());
  WriteFile(folder / "lm/part.safetensors");
  const auto with = [&](const std::string& config) {
    WriteFile(folder / "config.json", config);
    return Model(folder.path().string());
  };
  CHECK(LocateModel(with(R"({"moshi_name": "lm/part.safetensors", "mimi_name": null})"))
            .moshi_weight == folder / "lm/part.safetensors");
  for (const char* name : {"\"../x\"", "\"/etc/passwd\"", "\"lm/../../x\"", "\"\"", "3", "[]"}) {
    CAPTURE(name);
    const std::string error = LocateError(with(std::string(R"({"tokenizer_name": )") + name + "}"));
    CHECK(Contains(error, "tokenizer_name"));
    CHECK(Contains(error, folder / "config.json"));
  }
  CHECK(Contains(LocateError(with("{")), "config.json: is not one JSON object"));
  CHECK(Contains(LocateError(with("[]")), "config.json: is not one JSON object"));
}

TEST_CASE("every missing file is named") {
  const Home home;
  const TempFolder folder;
  WriteFile(folder / kMimi);
  std::string error = LocateError(Model(folder.path().string()));
  CHECK(Contains(error, "missing model.safetensors, tokenizer_spm_32k_3.model;"));
  CHECK(Contains(error, "--tokenizer"));
  WriteFile(folder / "model.safetensors");
  error = LocateError(Model(folder.path().string()));
  CHECK(Contains(error, "missing tokenizer_spm_32k_3.model;"));
  // A folder of that name is not the file.
  fs::create_directory(folder / kTokenizer);
  CHECK(Contains(LocateError(Model(folder.path().string())), "missing tokenizer_spm_32k_3.model;"));
}

TEST_CASE("given files take the place of the model's own") {
  const Home home;
  const TempFolder folder;
  const TempFolder other;
  WriteReleased(folder.path());
  WriteFile(folder / "config.json", "{}");
  WriteFile(other / "a.safetensors");
  WriteFile(other / "b.json", R"({"mimi_name": "elsewhere"})");
  ModelRequest request = Model(folder.path().string());
  request.moshi_weight = other / "a.safetensors";
  request.config = other / "b.json";
  const ModelFiles files = LocateModel(request);
  CHECK(files.moshi_weight == other / "a.safetensors");
  CHECK(files.config == other / "b.json");
  // The folder's own config says what its files are called.
  CHECK(files.mimi_weight == folder / kMimi);
  // Only without one does the given config.
  fs::remove(folder / "config.json");
  CHECK(Contains(LocateError(request), "missing elsewhere;"));
  WriteFile(folder / "elsewhere");
  CHECK(LocateModel(request).mimi_weight == folder / "elsewhere");

  request.tokenizer = other / "nowhere";
  CHECK(Contains(LocateError(request), "nowhere: no such file (--tokenizer)"));
  request.tokenizer = other.path().string();
  CHECK(Contains(LocateError(request), ": is not a file (--tokenizer)"));
}

TEST_CASE("no model is needed where all files are given") {
  const Home home;
  const TempFolder folder;
  WriteReleased(folder.path());
  ModelRequest request;
  request.moshi_weight = folder / "model.safetensors";
  request.mimi_weight = folder / kMimi;
  request.tokenizer = folder / kTokenizer;
  CHECK(LocateModel(request).config.empty());
  WriteFile(folder / "config.json", "not read for names");
  fs::create_directory(folder / "voices");
  const ModelFiles files = LocateModel(request);
  CHECK(files.config == folder / "config.json");
  CHECK(files.voices_dir == folder / "voices");
}

TEST_CASE("without a model the released one is looked for in the hub's cache") {
  const Home home;
  const std::string error = LocateError({});
  CHECK(Contains(error, "no model given: nvidia/personaplex-7b-v1 is not in the hub's cache"));
  CHECK(Contains(error, home.hub().string()));
  CHECK(Contains(error, "https://huggingface.co/nvidia/personaplex-7b-v1"));
  CHECK(Contains(error, "hf auth login"));
  CHECK(Contains(error, "scripts/fetch-model"));
  CHECK(Contains(error, "--model FOLDER"));

  CHECK_FALSE(InHubCache("nvidia/personaplex-7b-v1"));

  const fs::path snapshot =
      WriteSnapshot(home.hub(), "nvidia--personaplex-7b-v1", "0123abcd", "main");
  CHECK(InHubCache("nvidia/personaplex-7b-v1"));
  CHECK_FALSE(InHubCache("nvidia/personaplex-7b-v2"));
  CHECK_FALSE(InHubCache("../" + home.hub().string()));
  const ModelFiles files = LocateModel({});
  CHECK(files.moshi_weight == (snapshot / "model.safetensors").string());
  CHECK(files.source == "snapshot 0123abcd of nvidia/personaplex-7b-v1 in " + home.hub().string());
  CHECK(LocateModel(Model("nvidia/personaplex-7b-v1")).mimi_weight == files.mimi_weight);
}

TEST_CASE("the hub's cache is where its own tool puts it") {
  const Home home;
  const TempFolder base;
  const auto found_in = [](const fs::path& cache) {
    const fs::path snapshot = WriteSnapshot(cache, "org--name", "c0", "main");
    return LocateModel(Model("org/name")).moshi_weight == (snapshot / "model.safetensors").string();
  };
  // Each next variable wins over those before.
  CHECK(found_in(home.hub()));
  const ScopedEnvironment xdg{{"XDG_CACHE_HOME", base / "xdg"}};
  CHECK(found_in(base / "xdg/huggingface/hub"));
  const ScopedEnvironment hf_home{{"HF_HOME", "~/hf"}};
  CHECK(found_in(home.folder / "hf/hub"));
  const ScopedEnvironment old_name{{"HUGGINGFACE_HUB_CACHE", base / "old"}};
  CHECK(found_in(base / "old"));
  const ScopedEnvironment new_name{{"HF_HUB_CACHE", base / "new"}};
  CHECK(found_in(base / "new"));
  const ScopedEnvironment empty{{"HF_HUB_CACHE", ""}};
  CHECK(LocateModel(Model("org/name")).moshi_weight ==
        base / "old/models--org--name/snapshots/c0/model.safetensors");
}

TEST_CASE("a revision is a branch, a tag or the beginning of a commit") {
  const Home home;
  const fs::path hub = home.hub();
  WriteSnapshot(hub, "org--name", "aa11", "main");
  WriteSnapshot(hub, "org--name", "aa22", "v1.0");
  WriteSnapshot(hub, "org--name", "bb33", "refs/pr/7");
  const auto commit = [](const std::string& model) {
    return fs::path(LocateModel(Model(model)).moshi_weight).parent_path().filename().string();
  };
  CHECK(commit("org/name") == "aa11");
  CHECK(commit("org/name@main") == "aa11");
  CHECK(commit("org/name@v1.0") == "aa22");
  CHECK(commit("org/name@refs/pr/7") == "bb33");
  CHECK(commit("org/name@aa22") == "aa22");
  CHECK(commit("org/name@b") == "bb33");
  CHECK(Contains(LocateError(Model("org/name@aa")), "several snapshots of aa: aa11, aa22"));
  const std::string error = LocateError(Model("org/name@v2"));
  CHECK(Contains(error, "no revision v2; downloaded are aa11, aa22, bb33"));
  CHECK(Contains(error, "--revision v2"));
}

TEST_CASE("without refs/main a single snapshot is meant") {
  const Home home;
  WriteSnapshot(home.hub(), "org--name", "aa11", "");
  CHECK(Contains(LocateModel(Model("org/name")).source, "aa11"));
  WriteSnapshot(home.hub(), "org--name", "aa22", "");
  CHECK(Contains(LocateError(Model("org/name")), "several snapshots: aa11, aa22; choose one"));
}

TEST_CASE("a damaged or unfinished cache is told from an empty one") {
  const Home home;
  const fs::path storage = home.hub() / "models--nvidia--personaplex-7b-v1";
  fs::create_directories(storage / "blobs");
  CHECK(Contains(LocateError({}), "nothing of nvidia/personaplex-7b-v1 was downloaded yet"));

  WriteFile(storage / "refs/main", "c0\n");
  CHECK(Contains(LocateError({}), "is commit c0, which is not downloaded"));
  WriteFile(storage / "refs/main", "../../x");
  CHECK(Contains(LocateError({}), "does not hold a commit"));
  WriteFile(storage / "refs/main", "");
  CHECK(Contains(LocateError({}), "does not hold a commit"));

  const fs::path snapshot = WriteSnapshot(home.hub(), "nvidia--personaplex-7b-v1", "c0", "main");
  CHECK(LocateModel({}).tokenizer == (snapshot / kTokenizer).string());
  fs::remove(storage / "blobs/c0model.safetensors");
  std::string error = LocateError({});
  CHECK(Contains(error, "missing model.safetensors; links to downloaded data lead nowhere"));
  WriteFile(storage / "blobs/77.incomplete");
  error = LocateError({});
  CHECK(Contains(error, "has not finished (1 *.incomplete in "));
  CHECK(Contains(error, "scripts/fetch-model"));
  // What is left of another download does no harm.
  WriteFile(storage / "blobs/c0model.safetensors");
  CHECK_NOTHROW(LocateModel({}));
  fs::create_symlink("../../blobs/gone", snapshot / "config.json");
  CHECK(Contains(LocateError({}), "missing config.json"));
}

TEST_CASE("an unfinished download into a folder is told too") {
  const Home home;
  const TempFolder folder;
  WriteFile(folder / kMimi);
  WriteFile(folder / ".cache/huggingface/download/abc.incomplete");
  const std::string error = LocateError(Model(folder.path().string()));
  CHECK(Contains(error, "has not finished"));
  CHECK(Contains(error, "scripts/fetch-model --to " + folder.path().string()));
}

TEST_CASE("a folder wins over a name on the hub") {
  const Home home;
  WriteSnapshot(home.hub(), "org--name", "aa11", "main");
  const TempFolder folder;
  WriteReleased(folder.path() / "org/name");
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  const ModelFiles files = LocateModel(Model("org/name"));
  fs::current_path(before);
  CHECK(files.source == "folder org/name");
  CHECK(files.moshi_weight == "org/name/model.safetensors");
}

TEST_CASE("what is neither a folder nor a name on the hub") {
  const Home home;
  const TempFolder folder;
  for (const char* model : {"nowhere", "a/b/c", "/no/such", "../x", "org/", "/name", "org/na me",
                            "org/name@", "org/name@../../x", "org/..", "org/name@/etc"}) {
    CAPTURE(model);
    CHECK(Contains(LocateError(Model(model)), "no such folder, and not a name on the hub"));
  }
  WriteFile(folder / "model.safetensors");
  CHECK(Contains(LocateError(Model(folder / "model.safetensors")), "is not a folder"));
  CHECK(Contains(LocateError(Model("org/name")), "scripts/fetch-model --repo org/name"));
}

TEST_CASE("a Git LFS pointer is not a checkpoint") {
  const TempFolder folder;
  WriteReleased(folder.path());
  WriteFile(folder / "model.safetensors",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  CHECK(Contains(LocateError(Model(folder.path().string())),
                 "model.safetensors: is a Git LFS pointer"));
}

TEST_CASE("voices are looked for in three places") {
  const Home home;
  const fs::path snapshot = WriteSnapshot(home.hub(), "org--name", "aa11", "main");
  CHECK(LocateModel(Model("org/name")).voices_dir.empty());
  fs::create_directories(home.folder / ".cache/ppx/voices/org--name/aa11");
  CHECK(LocateModel(Model("org/name")).voices_dir ==
        home.folder / ".cache/ppx/voices/org--name/aa11");
  {
    const TempFolder cache;
    const ScopedEnvironment own{{"PPX_CACHE", cache.path().string()}};
    CHECK(LocateModel(Model("org/name")).voices_dir.empty());
    fs::create_directories(cache / "voices/org--name/aa11");
    CHECK(LocateModel(Model("org/name")).voices_dir == cache / "voices/org--name/aa11");
  }
  fs::create_directory(snapshot / "voices");
  CHECK(LocateModel(Model("org/name")).voices_dir == (snapshot / "voices").string());
  ModelRequest request = Model("org/name");
  request.voice_prompt_dir = home.folder.path().string();
  CHECK(LocateModel(request).voices_dir == home.folder.path().string());
  request.voice_prompt_dir = home.folder / "nowhere";
  CHECK(Contains(LocateError(request), "nowhere: no such folder (--voice-prompt-dir)"));
}

TEST_CASE("a voice is a path or a name") {
  const TempFolder first;
  const TempFolder second;
  const std::vector<std::string> folders{"", first.path().string(), second.path().string()};
  WriteFile(first / "NATF0.pt");
  WriteFile(first / "NATF0.wav");
  WriteFile(second / "NATF0.safetensors");
  WriteFile(second / "NATM1.wav");
  WriteFile(second / "plain");
  CHECK(FindVoice(first / "NATF0.wav", {}) == first / "NATF0.wav");
  CHECK(FindVoice("NATF0", folders) == first / "NATF0.pt");
  CHECK(FindVoice("NATF0.wav", folders) == first / "NATF0.wav");
  CHECK(FindVoice("NATF0.safetensors", folders) == second / "NATF0.safetensors");
  CHECK(FindVoice("NATM1", folders) == second / "NATM1.wav");
  CHECK(FindVoice("plain", folders) == second / "plain");
  WriteFile(first / "NATF0.safetensors");
  CHECK(FindVoice("NATF0", folders) == first / "NATF0.safetensors");
  // A folder of that name is no voice.
  fs::create_directory(first / "NATM1.wav");
  CHECK(FindVoice("NATM1.wav", folders) == second / "NATM1.wav");
}

TEST_CASE("a voice that is not there") {
  const TempFolder folder;
  WriteFile(folder / "NATM1.wav");
  WriteFile(folder / "NATF0.pt");
  WriteFile(folder / "NATF0.wav");
  WriteFile(folder / "._NATF2.pt");
  WriteFile(folder / "README.md");
  const std::string there = folder.path().string();
  std::string error = BadInput([&] { FindVoice("nat", {there, there + "/none"}); });
  CHECK(Contains(error, "nat: no such voice prompt; looked in " + there + ", " + there + "/none"));
  CHECK(Contains(error, "voices there: NATF0, NATM1"));
  CHECK_FALSE(Contains(error, "NATF2"));
  CHECK_FALSE(Contains(error, "README"));
  for (int i = 0; i < 50; ++i) WriteFile(folder / fmt::format("z{}.pt", i));
  error = BadInput([&] { FindVoice("nat", {there}); });
  CHECK(Contains(error, " and 12 more"));

  const TempFolder empty;
  CHECK(Contains(BadInput([&] { FindVoice("x", {empty.path().string()}); }), "--voice-prompt-dir"));
  CHECK(Contains(BadInput([&] { FindVoice("x", {""}); }), "there is no voices folder"));
  CHECK(Contains(BadInput([&] { FindVoice("", {there}); }), "no voice prompt given"));
}

}  // namespace
}  // namespace ppx::hub
