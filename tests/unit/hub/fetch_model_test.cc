// scripts/fetch-model with a stand-in for the hub's tool: what it is asked for, what becomes of its
// download, and how voices are unpacked.

#include "hub/model_files.h"
#include "hub_test_util.h"
#include "support/doctest.h"

namespace ppx::hub {
namespace {

const std::string kScript = std::string(PPX_SOURCE_DIR) + "/scripts/fetch-model";
constexpr const char* kCommit = "0123456789abcdef";

// Makes $1, an archive with the members that a Python expression lists: (name, type, data).
constexpr const char* kMakeArchive = R"(
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w:gz") as tar:
    for name, kind, data in eval(sys.argv[2], vars(tarfile)):
        member = tarfile.TarInfo(name)
        member.type = kind
        if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            member.linkname = data
            tar.addfile(member)
        else:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data.encode()))
)";

// Writes its arguments to $FAKE/arguments and, as `hf download` would, the released files: into
// --local-dir, or into the cache. $FAKE/voices.tgz is the archive; $FAKE/fail makes it fail.
constexpr const char* kFakeTool = R"(#!/bin/sh
printf '%s\n' "$@" >"$FAKE/arguments"
if [ -e "$FAKE/fail" ]; then echo "401 gated repo" >&2; exit 1; fi
[ "$1" = download ] || exit 2
repo=$2 to= revision=main
while [ $# -gt 0 ]; do
  case "$1" in --local-dir) to=$2 ;; --revision) revision=$2 ;; esac
  shift
done
if [ -z "$to" ]; then
  storage=$HF_HUB_CACHE/models--$(echo "$repo" | sed 's#/#--#')
  to=$storage/snapshots/0123456789abcdef
  mkdir -p "$storage/refs"
  [ "$revision" = 0123456789abcdef ] || printf 0123456789abcdef >"$storage/refs/$revision"
fi
mkdir -p "$to"
for name in model.safetensors tokenizer-e351c8d8-checkpoint125.safetensors tokenizer_spm_32k_3.model; do
  echo x >"$to/$name"
done
[ ! -e "$FAKE/cut" ] || rm "$to/model.safetensors"
[ ! -e "$FAKE/voices.tgz" ] || cp "$FAKE/voices.tgz" "$to/voices.tgz"
echo "$to"
)";

struct Setting {
  TempFolder folder;
  ScopedEnvironment environment{
      {"HOME", folder.path().string()}, {"PPX_CACHE", folder / "ppx"},
      {"HF_HUB_CACHE", folder / "hub"}, {"HF_HOME", std::nullopt},
      {"HF_TOKEN_PATH", std::nullopt},  {"XDG_CACHE_HOME", std::nullopt},
      {"HF_TOKEN", "a token"},          {"HUGGING_FACE_HUB_TOKEN", std::nullopt},
      {"FAKE", folder.path().string()}, {"PATH", folder / "bin" + ":" + std::getenv("PATH")}};

  Setting() {
    WriteTool(folder / "bin/hf");
    MakeArchive(
        "[('voices', DIRTYPE, ''), ('voices/NATF0.pt', REGTYPE, 'zero'),"
        " ('voices/._NATF0.pt', REGTYPE, 'mac'), ('voices/NATM1.pt', REGTYPE, 'one')]");
  }
  static void WriteTool(const fs::path& path) {
    WriteFile(path, kFakeTool);
    fs::permissions(path, fs::perms::owner_all);
  }
  void MakeArchive(const std::string& members) const {
    const Finished made = Run({"python3", "-c", kMakeArchive, folder / "voices.tgz", members});
    REQUIRE_MESSAGE(made.status == 0, made.output);
  }
  std::string arguments() const { return ReadFile(folder / "arguments"); }
  fs::path voices() const {
    return folder.path() / "ppx/voices/nvidia--personaplex-7b-v1" / kCommit;
  }
  // Anything left of a failed unpacking would be here.
  bool voices_parent_is_empty() const {
    return !fs::exists(voices().parent_path()) || fs::is_empty(voices().parent_path());
  }
};

TEST_CASE("a download into the cache is found by LocateModel, voices and all") {
  const Setting setting;
  const Finished run = Run({kScript});
  REQUIRE_MESSAGE(run.status == 0, run.output);
  CHECK(Contains(run.output, "ready: --model nvidia/personaplex-7b-v1\n"));
  CHECK(setting.arguments() ==
        "download\nnvidia/personaplex-7b-v1\nconfig.json\nmodel.safetensors\n"
        "tokenizer-e351c8d8-checkpoint125.safetensors\ntokenizer_spm_32k_3.model\nvoices.tgz\n");
  const ModelFiles files = LocateModel({});
  CHECK(files.voices_dir == setting.voices().string());
  CHECK(ReadFile(FindVoice("NATF0", {files.voices_dir})) == "zero");
  CHECK(ReadFile(FindVoice("NATM1", {files.voices_dir})) == "one");
  CHECK_FALSE(fs::exists(setting.voices() / "._NATF0.pt"));
  // The hub's own folder is not written to.
  CHECK_FALSE(fs::exists(fs::path(files.moshi_weight).parent_path() / "voices"));

  // Again: nothing changes. With another archive: the voices are replaced.
  WriteFile(setting.voices() / "mark");
  const Finished again = Run({kScript});
  CHECK(again.status == 0);
  CHECK(Contains(again.output, "already"));
  CHECK(fs::exists(setting.voices() / "mark"));
  setting.MakeArchive("[('./voices/NATF9.wav', REGTYPE, 'nine'), ('LICENSE', REGTYPE, 'l')]");
  CHECK(Run({kScript}).status == 0);
  CHECK(ReadFile(setting.voices() / "NATF9.wav") == "nine");
  CHECK(fs::exists(setting.voices() / "LICENSE"));
  CHECK_FALSE(fs::exists(setting.voices() / "NATF0.pt"));
  CHECK_FALSE(fs::exists(setting.voices() / "mark"));
}

TEST_CASE("a revision, another repository, a folder") {
  const Setting setting;
  CHECK(Run({kScript, "--revision", "v1"}).status == 0);
  CHECK(Contains(setting.arguments(), "--revision\nv1\n"));
  CHECK(LocateModel(Model("nvidia/personaplex-7b-v1@v1")).voices_dir == setting.voices().string());
  CHECK(Run({kScript, "--revision", kCommit}).status == 0);

  const Finished other = Run({kScript, "--repo", "kyutai/moshiko"});
  CHECK(other.status == 0);
  CHECK(setting.arguments() == "download\nkyutai/moshiko\n");
  CHECK(LocateModel(Model("kyutai/moshiko")).config.empty());

  const std::string to = setting.folder / "model";
  CHECK(Run({kScript, "--to", to}).status == 0);
  CHECK(Contains(setting.arguments(), "--local-dir\n" + to + "\n"));
  CHECK(LocateModel(Model(to)).voices_dir == to + "/voices");
}

TEST_CASE("a voices folder of the user's own is left alone") {
  const Setting setting;
  WriteFile(setting.folder / "model/voices/mine.wav");
  const Finished run = Run({kScript, "--to", setting.folder / "model"});
  CHECK(run.status == 0);
  CHECK(Contains(run.output, "is left as it is"));
  CHECK(fs::exists(setting.folder / "model/voices/mine.wav"));
  CHECK_FALSE(fs::exists(setting.folder / "model/voices/NATF0.pt"));
}

TEST_CASE("who is not signed in is told how to") {
  const Setting setting;
  const ScopedEnvironment no_token{{"HF_TOKEN", std::nullopt}};
  const Finished run = Run({kScript});
  CHECK(run.status == 4);
  CHECK(Contains(run.output, "https://huggingface.co/nvidia/personaplex-7b-v1"));
  CHECK(Contains(run.output, "hf auth login"));
  CHECK_FALSE(fs::exists(setting.folder / "arguments"));
  // A repository that is not gated needs no account.
  CHECK(Run({kScript, "--repo", "kyutai/moshiko"}).status == 0);
  WriteFile(setting.folder / ".cache/huggingface/token");
  CHECK(Run({kScript}).status == 0);
}

TEST_CASE("a download that fails or is cut") {
  const Setting setting;
  WriteFile(setting.folder / "fail");
  Finished run = Run({kScript});
  CHECK(run.status == 4);
  CHECK(Contains(run.output, "401 gated repo"));
  CHECK(Contains(run.output, "accept the licence"));
  CHECK(Contains(run.output, "goes on where it stopped"));
  fs::remove(setting.folder / "fail");
  WriteFile(setting.folder / "cut");
  run = Run({kScript});
  CHECK(run.status == 4);
  CHECK(Contains(run.output, "missing: config.json, model.safetensors"));
}

TEST_CASE("without hf on PATH the one in the project's cache is used") {
  const Setting setting;
  fs::remove(setting.folder / "bin/hf");
  Setting::WriteTool(setting.folder / "ppx/hub-tool/bin/hf");
  const Finished python = Run({"python3", "-c", "import sys; print(sys.executable, end='')"});
  REQUIRE(python.status == 0);
  // A PATH with what the scripts themselves need, and no hf of this machine.
  for (const char* tool : {"sh", "sed", "mkdir", "cp", "rm"}) {
    const Finished where = Run({"sh", "-c", "command -v \"$0\" | tr -d '\\n'", tool});
    fs::create_symlink(where.output, setting.folder.path() / "bin" / tool);
  }
  fs::create_symlink(python.output, setting.folder / "bin/python3");
  const ScopedEnvironment path{{"PATH", setting.folder / "bin"}};
  const Finished run = Run({kScript});
  REQUIRE_MESSAGE(run.status == 0, run.output);
  CHECK(fs::exists(setting.voices() / "NATF0.pt"));
}

TEST_CASE("an archive that could write elsewhere is refused, whole") {
  const Setting setting;
  const fs::path outside = setting.folder / "outside";
  for (const std::string members : {
           "('/tmp/ppx_hub_test_outside', REGTYPE, 'x')",
           "('../outside', REGTYPE, 'x')",
           "('voices/../../outside', REGTYPE, 'x')",
           "('voices/a.pt', SYMTYPE, '/etc/passwd')",
           "('voices/a.pt', LNKTYPE, 'voices/NATF0.pt')",
           "('voices/d', SYMTYPE, '..'), ('voices/d/outside', REGTYPE, 'x')",
           "('voices/a.pt', FIFOTYPE, '')",
           "('voices/a.pt', CHRTYPE, '')",
           "('voices/NATF0.pt', REGTYPE, 'again')",
           "('voices/NATF0.pt/below', REGTYPE, 'x')",
           "('voices/..\\\\outside', REGTYPE, 'x')",
       }) {
    CAPTURE(members);
    setting.MakeArchive("[('voices/NATF0.pt', REGTYPE, 'zero'), " + members + "]");
    const Finished run = Run({kScript});
    CHECK(run.status == 3);
    CHECK(Contains(run.output, "nothing was unpacked"));
    CHECK_FALSE(Contains(run.output, "Traceback"));
    CHECK(setting.voices_parent_is_empty());
    CHECK_FALSE(fs::exists(outside));
  }
}

TEST_CASE("an archive that is too large, empty or damaged is refused") {
  const Setting setting;
  setting.MakeArchive("[('voices/%d' % i, DIRTYPE, '') for i in range(2001)]");
  Finished run = Run({kScript});
  CHECK(run.status == 3);
  CHECK(Contains(run.output, "more than an archive of voices"));
  setting.MakeArchive("[('voices/zeros', REGTYPE, '0' * (257 << 20))]");
  run = Run({kScript});
  CHECK(run.status == 3);
  CHECK(Contains(run.output, "more than an archive of voices"));
  setting.MakeArchive("[('voices', DIRTYPE, '')]");
  run = Run({kScript});
  CHECK(run.status == 3);
  CHECK(Contains(run.output, "holds no files"));

  setting.MakeArchive("[('voices/a.pt', REGTYPE, 'abc' * 100000)]");
  const std::string whole = ReadFile(setting.folder / "voices.tgz");
  for (const size_t length :
       {size_t{0}, size_t{5}, size_t{40}, whole.size() / 2, whole.size() - 9}) {
    CAPTURE(length);
    WriteFile(setting.folder / "voices.tgz", whole.substr(0, length));
    run = Run({kScript});
    CHECK(run.status == 3);
    CHECK_FALSE(Contains(run.output, "Traceback"));
  }
  WriteFile(setting.folder / "voices.tgz", "this is no archive at all");
  run = Run({kScript});
  CHECK(run.status == 3);
  CHECK(Contains(run.output, "is damaged"));
  CHECK(setting.voices_parent_is_empty());
}

TEST_CASE("fetch-model refuses what is not a repository or a revision") {
  const Setting setting;
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--repo", "name"},
                                                {"--repo", "a/../b"},
                                                {"--repo", "--help/x"},
                                                {"--revision", "../x"},
                                                {"--revision=-x"},
                                                {"--what"}}) {
    std::vector<std::string> command{kScript};
    command.insert(command.end(), words.begin(), words.end());
    CAPTURE(words.back());
    CHECK(Run(command).status == 2);
  }
  CHECK(Run({kScript, "--help"}).status == 0);
}

}  // namespace
}  // namespace ppx::hub
