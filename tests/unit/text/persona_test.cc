#include "text/persona.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"
#include "support/doctest.h"
#include "text/text_prompt.h"

namespace ppx::text {
namespace {

namespace fs = std::filesystem;

const std::string kPrompts = PPX_SOURCE_DIR "/prompts/";

std::string ErrorOf(const std::string& yaml) {
  try {
    ParsePersona(yaml, "dir/p.yaml");
  } catch (const base::Error& error) {
    CHECK(error.code() == base::ErrorCode::kBadInput);
    return error.what();
  }
  return "(accepted)";
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct TempFolder {
  fs::path path;
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "ppx-persona-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path = name;
  }
  ~TempFolder() { fs::remove_all(path); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  std::string Touch(const std::string& name) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << "x";
    return (path / name).string();
  }
};

}  // namespace

TEST_CASE("every key is read") {
  const Persona persona = ParsePersona(
      "name: clerk\ndescription: A clerk.\ntext_prompt: You sell.\nvoice: NATF2\ntemp_audio: 0.9\n"
      "temp_text: 0\ntopk_audio: 200\ntopk_text: 0\ngreedy: false\n",
      "dir/p.yaml");
  CHECK(persona.path == "dir/p.yaml");
  CHECK(persona.name == "clerk");
  CHECK(persona.description == "A clerk.");
  CHECK(persona.text_prompt == "You sell.");
  CHECK(persona.voice == "NATF2");
  CHECK(persona.temp_audio == 0.9);
  CHECK(persona.temp_text == 0.0);
  CHECK(persona.topk_audio == 200);
  CHECK(persona.topk_text == 0);
  CHECK(persona.greedy == false);
}

TEST_CASE("what is left out stays open, and the name is the file's") {
  const Persona persona = ParsePersona("text_prompt: \"\"", "dir/night clerk.yaml");
  CHECK(persona.name == "night clerk");
  CHECK(persona.text_prompt.empty());
  CHECK(persona.voice.empty());
  CHECK_FALSE(persona.temp_audio.has_value());
  CHECK_FALSE(persona.temp_text.has_value());
  CHECK_FALSE(persona.topk_audio.has_value());
  CHECK_FALSE(persona.topk_text.has_value());
  CHECK_FALSE(persona.greedy.has_value());
}

TEST_CASE("texts that look like numbers are texts") {
  CHECK(ParsePersona("{text_prompt: 12, name: true}", "p").text_prompt == "12");
  CHECK(ParsePersona("text_prompt: |\n  a\n  b\n", "p").text_prompt == "a\nb\n");
}

TEST_CASE("an unknown key is told with its place and the known ones") {
  const std::string error = ErrorOf("text_prompt: a\ntemp_adio: 1\n");
  CHECK(Contains(error, "dir/p.yaml:2:1: unknown key 'temp_adio'"));
  for (const char* key : {"name", "description", "text_prompt", "voice", "temp_audio", "temp_text",
                          "topk_audio", "topk_text", "greedy"}) {
    CHECK(Contains(error, key));
  }
  CHECK(Contains(ErrorOf("text_prompt: a\n[1, 2]: 1\n"),
                 "dir/p.yaml:2:1: a key of a persona must be a text"));
}

TEST_CASE("wrong values are told with their place") {
  CHECK(Contains(ErrorOf("text_prompt: [a]"), "dir/p.yaml:1:14: 'text_prompt' must be a text"));
  CHECK(Contains(ErrorOf("text_prompt:\n"), "'text_prompt' must be a text"));
  CHECK(Contains(ErrorOf("text_prompt: a\nvoice: {a: b}"), "dir/p.yaml:2:8: 'voice' must be"));
  for (const char* value :
       {"hot", "-0.1", ".nan", ".inf", "\"0.8\"", "0.8x", "[1]", "~", "1e999"}) {
    CAPTURE(value);
    CHECK(Contains(ErrorOf("text_prompt: a\ntemp_text: " + std::string(value)),
                   "dir/p.yaml:2:12: 'temp_text' must be a "));
  }
  for (const char* value : {"-1", "2.5", "99999999999", "many", "'3'"}) {
    CAPTURE(value);
    CHECK(Contains(ErrorOf("text_prompt: a\ntopk_audio: " + std::string(value)),
                   "dir/p.yaml:2:13: 'topk_audio' must be "));
  }
  CHECK(Contains(ErrorOf("text_prompt: a\ngreedy: 1"), "'greedy' must be true or false"));
}

TEST_CASE("repeated and missing keys, and files that are no map, are refused") {
  CHECK(Contains(ErrorOf("text_prompt: a\nvoice: A\nvoice: B\n"),
                 "dir/p.yaml:3:1: 'voice' is given twice"));
  CHECK(Contains(ErrorOf("voice: A\n"), "'text_prompt' is missing"));
  CHECK(Contains(ErrorOf(""), "expected a persona: one YAML document"));
  CHECK(Contains(ErrorOf("# nothing\n"), "expected a persona: one YAML document"));
  CHECK(Contains(ErrorOf("just words"), "expected a persona: one YAML document"));
  CHECK(Contains(ErrorOf("- text_prompt: a"), "expected a persona: one YAML document"));
  CHECK(Contains(ErrorOf("a}#{,b"), "expected a persona: one YAML document"));
  CHECK(Contains(ErrorOf("text_prompt: a\n---\ntext_prompt: b\n"),
                 "expected a persona: one YAML document"));
}

TEST_CASE("broken YAML is told with its place") {
  CHECK(Contains(ErrorOf("text_prompt: a\nvoice: [open\n"), "not valid YAML"));
  CHECK(Contains(ErrorOf("text_prompt: You know: this"), "dir/p.yaml:1:"));
  CHECK(Contains(ErrorOf("text_prompt: *nowhere"), "not valid YAML"));
  CHECK(Contains(ErrorOf(std::string(100000, '[')), "not valid YAML"));
  CHECK(Contains(ErrorOf(std::string("\0\x01\xFF", 3)), "dir/p.yaml"));
}

TEST_CASE("a persona file that cannot be read is told by name") {
  CHECK_THROWS_WITH_AS(
      LoadPersona("/nonexistent/p.yaml"),
      "/nonexistent/p.yaml: No such file or directory; expected a persona file (YAML)",
      base::Error);
  CHECK_THROWS_AS(LoadPersona(kPrompts), base::Error);
  CHECK_THROWS_AS(LoadPersona("/dev/null"), base::Error);
  CHECK_THROWS_AS(LoadPersona("/dev/zero"), base::Error);
}

TEST_CASE("every persona that comes with the project loads, tokenises and fits") {
  const std::set<std::string> voices = {"NATF0",  "NATF1",  "NATF2", "NATF3", "NATM0", "NATM1",
                                        "NATM2",  "NATM3",  "VARF0", "VARF1", "VARF2", "VARF3",
                                        "VARF4",  "VARM0",  "VARM1", "VARM2", "VARM3", "VARM4",
                                        "FLITE0", "MINIF0", "MINIM0"};
  const auto tokenizer = Tokenizer::Load(PPX_SOURCE_DIR "/configs/tiny/tokenizer_spm.model");
  int count = 0;
  for (const auto& entry : fs::directory_iterator(kPrompts)) {
    if (entry.path().extension() != ".yaml") continue;
    CAPTURE(entry.path().string());
    const Persona persona = LoadPersona(entry.path().string());
    CHECK(persona.name == entry.path().stem().string());
    CHECK_FALSE(persona.description.empty());
    CHECK(voices.contains(persona.voice));
    CHECK(EncodeTextPrompt(tokenizer, persona.text_prompt).size() > 10);
    CHECK_FALSE(Contains(persona.text_prompt, "\n"));
    // English has more than four characters for a token of the released tokenizer.
    CHECK(persona.text_prompt.size() < 4 * kTrainedTextPromptTokens);
    ++count;
  }
  CHECK(count >= 11);
}

TEST_CASE("the benchmark's prompts are the published ones") {
  CHECK(LoadPersona(kPrompts + "fdb-interruption.yaml").text_prompt ==
        "You are a wise and friendly teacher. Answer questions or provide advice in a clear and "
        "engaging way.");
  CHECK(LoadPersona(kPrompts + "fdb-conversation.yaml").text_prompt ==
        "You enjoy having a good conversation.");
  CHECK(LoadPersona(kPrompts + "tiny.yaml").text_prompt ==
        "You work for Daybreak Bakery and your name is Mina.");
  CHECK(fs::path(FindVoice("FLITE0", kPrompts + "tiny.yaml", {PPX_SOURCE_DIR "/voices"})) ==
        PPX_SOURCE_DIR "/voices/FLITE0.wav");
}

TEST_CASE("voices are found by path or by name") {
  const TempFolder folder;
  const std::string pt = folder.Touch("voices/A.pt");
  folder.Touch("voices/A.safetensors");
  folder.Touch("voices/A.wav");
  const std::string safetensors = folder.Touch("voices/B.safetensors");
  folder.Touch("voices/B.wav");
  const std::string wave = folder.Touch("voices/C.wav");
  const std::string second = folder.Touch("more/D.wav");
  folder.Touch("more/A.pt");
  const std::string beside = folder.Touch("personas/own.wav");
  fs::create_directories(folder.path / "personas/A");
  const std::string persona = (folder.path / "personas/p.yaml").string();
  const std::vector<std::string> folders = {(folder.path / "voices").string(),
                                            (folder.path / "more").string()};
  CHECK(FindVoice("A", persona, folders) == pt);
  CHECK(FindVoice("B", persona, folders) == safetensors);
  CHECK(FindVoice("C", persona, folders) == wave);
  CHECK(FindVoice("A.wav", persona, folders) == (folder.path / "voices/A.wav").string());
  CHECK(FindVoice("D", persona, folders) == second);
  CHECK(FindVoice("own.wav", persona, folders) == beside);
  CHECK(FindVoice("../more/D.wav", persona, folders) == second);
  CHECK(FindVoice(second, persona, {}) == second);
  CHECK(FindVoice("A", "", folders) == pt);
}

TEST_CASE("a voice that is not there is told with the places looked at") {
  const TempFolder folder;
  const std::string persona = (folder.path / "p.yaml").string();
  try {
    FindVoice("NATF9", persona, {"/nonexistent/voices"});
    FAIL("found");
  } catch (const base::Error& error) {
    CHECK(error.code() == base::ErrorCode::kBadInput);
    const std::string text = error.what();
    CHECK(Contains(text, persona + ": voice 'NATF9' was not found"));
    CHECK(Contains(text, (folder.path / "NATF9").string()));
    CHECK(Contains(text, "/nonexistent/voices/NATF9.pt"));
    CHECK(Contains(text, "/nonexistent/voices/NATF9.wav"));
  }
  CHECK_THROWS_AS(FindVoice("", persona, {"/tmp"}), base::Error);
  folder.Touch("voices/E.wav");
  // A name with a '/' is a path, never looked up in the voice folder.
  CHECK_THROWS_AS(FindVoice("voices/E", persona, {folder.path.string()}), base::Error);
}

}  // namespace ppx::text
