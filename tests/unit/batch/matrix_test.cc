#include "batch/matrix.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::batch {
namespace {

using testing::ErrorOf;

std::vector<std::string> Folders(const std::vector<std::string>& axes) {
  std::vector<std::string> folders;
  for (const Variant& variant : MakeVariants(axes)) folders.push_back(variant.folder);
  return folders;
}

TEST_CASE("without axes everything stays as it is") {
  const auto variants = MakeVariants({});
  REQUIRE(variants.size() == 1);
  DialogueRequest request;
  request.id = "a";
  request.seed = 3;
  request.text_prompt = "t";
  const DialogueRequest same = Apply(variants[0], request);
  CHECK(same.id == "a");
  CHECK(same.seed == 3);
  CHECK(same.text_prompt == "t");
  CHECK_FALSE(same.persona);
}

TEST_CASE("the cross product, the last axis fastest") {
  CHECK(Folders({"persona=bank,clinic", "seed=1,3..4"}) ==
        std::vector<std::string>{"persona=bank,seed=1", "persona=bank,seed=3",
                                 "persona=bank,seed=4", "persona=clinic,seed=1",
                                 "persona=clinic,seed=3", "persona=clinic,seed=4"});
  const auto variants = MakeVariants({"seed=7", "config=my dir/a.yaml,b", "voice=../NATF2.pt"});
  REQUIRE(variants.size() == 2);
  CHECK(variants[0].folder == "seed=7,config=a,voice=NATF2");
  CHECK(variants[0].config == "my dir/a.yaml");
  CHECK(variants[0].voice == "../NATF2.pt");
  CHECK(variants[0].seed == 7);
  CHECK(variants[1].config == "b");
  CHECK_FALSE(variants[0].persona);
}

TEST_CASE("names are safe for a file system") {
  CHECK(Folders({"persona=a b/c:d.yaml"}) == std::vector<std::string>{"persona=c_d"});
  CHECK(Folders({"voice=caf\u00e9"}) == std::vector<std::string>{"voice=caf__"});
  CHECK(Folders({"persona=v1.5"}) == std::vector<std::string>{"persona=v1.5"});
  const auto texts = Folders({"text=You are kind, and firm.|You are kind, and firm!"});
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].starts_with("text=You_are_kind__and_firm.-"));
  CHECK(texts[0] != texts[1]);
  for (const std::string& folder : texts) {
    CHECK(folder.find('/') == std::string::npos);
    DialogueRequest request;
    request.id = "x";
    CHECK_FALSE(WrongWithId(Apply(MakeVariants({"text=/../ |\n"})[0], request).id));
  }
}

TEST_CASE("a variant's values win over the request's") {
  DialogueRequest request;
  request.id = "suite/17";
  request.seed = 1;
  request.persona = "old";
  request.text_prompt = "old text";
  request.voice_prompt = "old voice";
  request.temp_text = 0.5;
  const auto by = [&](const std::vector<std::string>& axes) {
    return Apply(MakeVariants(axes)[0], request);
  };
  CHECK(by({"seed=2"}).id == "seed=2/suite/17");
  CHECK(by({"seed=2"}).seed == 2);
  CHECK(by({"seed=2"}).text_prompt == "old text");
  CHECK(by({"voice=new"}).voice_prompt == "new");
  CHECK(by({"voice=new"}).persona == "old");
  CHECK(by({"text=new"}).text_prompt == "new");
  // What would win over the persona goes; another axis may bring its own.
  CHECK(by({"persona=new"}).persona == "new");
  CHECK_FALSE(by({"persona=new"}).text_prompt);
  CHECK_FALSE(by({"persona=new"}).voice_prompt);
  CHECK(by({"persona=new"}).temp_text == 0.5);
  CHECK(by({"voice=v", "persona=new", "text=t"}).voice_prompt == "v");
  CHECK(by({"voice=v", "persona=new", "text=t"}).text_prompt == "t");
  CHECK(by({"config=a.yaml"}).id == "config=a/suite/17");
}

TEST_CASE("what cannot be an axis is told") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"speed=1"}, "expected persona="},
      {{"seed"}, "expected persona="},
      {{""}, "expected persona="},
      {{"seed="}, "no seed"},
      {{"seed=-1"}, "no seed"},
      {{"seed=1.5"}, "no seed"},
      {{"seed=1,"}, "no seed"},
      {{"seed=3..1"}, "lower seed first"},
      {{"seed=1.."}, "no seed"},
      {{"seed=0..9223372036854775807"}, "more than 100000 seeds"},
      {{"seed=9223372036854775808"}, "no seed"},
      {{"seed=1,01"}, "twice"},
      {{"persona=a,,b"}, "empty value"},
      {{"persona=a,a"}, "'a' twice"},
      {{"persona=dir/"}, "names no file"},
      {{"persona=x/a.yaml,y/a.yaml"}, "share the folder persona=a"},
      {{"seed=1", "seed=2"}, "given twice"},
      {{"seed=0..999", "persona=" +
                           [] {
                             std::string many = "p";
                             for (int i = 0; i < 200; ++i) many += ",p" + std::to_string(i);
                             return many;
                           }()},
       "more than 100000 variants"},
      {{"persona=" + std::string(300, 'x')}, "longer than 200 bytes"},
  };
  for (const auto& [axes, part] : cases) {
    INFO(axes[0]);
    const auto thrown = ErrorOf([&] { MakeVariants(axes); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    INFO(thrown.message);
    CHECK(thrown.Mentions(part));
    CHECK(thrown.Mentions("--matrix"));
  }
  CHECK(Folders({"seed=9223372036854775806..9223372036854775807"}).size() == 2);
  CHECK(MakeVariants({"seed=1..100000"}).size() == 100'000);
}

}  // namespace
}  // namespace ppx::batch
