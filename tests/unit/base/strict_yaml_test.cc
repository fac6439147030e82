// Configuration files: what is read, and what is refused at which place.
#include "base/strict_yaml.h"

#include <string>

#include "base/error.h"
#include "support/doctest.h"
#include "support/expect_error.h"

namespace ppx::base {
namespace {

using testing::ErrorOf;

YamlMap Parse(const std::string& yaml) { return ParseYaml(yaml, "x.yaml", "a thing"); }

TEST_CASE("every kind of value") {
  YamlMap map = Parse(
      "text: 007\nnumber: 0.5\nwhole: -3\nflag: true\none: a\nmany: [a, b]\n"
      "map: {b: 1, a: 2}\nchoice: second\nlist: [{k: 1}, {k: 2}]\n");
  CHECK(map.Text("text") == "007");
  CHECK(map.Text("absent", "else") == "else");
  CHECK(map.Number("number") == 0.5);
  CHECK_FALSE(map.MaybeNumber("absent"));
  CHECK(map.Whole("whole", -3, 3) == -3);
  CHECK(map.Whole("absent", 0, 9, 7) == 7);
  CHECK(map.Flag("flag", false));
  CHECK_FALSE(map.Flag("absent", false));
  CHECK(map.Texts("one") == std::vector<std::string>{"a"});
  CHECK(map.Texts("many") == std::vector<std::string>{"a", "b"});
  CHECK(map.Texts("absent").empty());
  CHECK(map.Map("map", "a part").Keys() == std::vector<std::string>{"b", "a"});
  CHECK(map.Choice("choice", {"first", "second"}) == 1);
  CHECK(map.List("list").size() == 2);
  CHECK_NOTHROW(map.Done());
}

std::string Message(const std::string& yaml, void (*read)(YamlMap&)) {
  const auto thrown = ErrorOf([&] {
    YamlMap map = Parse(yaml);
    read(map);
    map.Done();
  });
  CHECK(thrown.code == ErrorCode::kBadInput);
  return thrown.message;
}

TEST_CASE("a slip is an error with its place") {
  const auto take_a = [](YamlMap& map) { map.Number("a"); };
  CHECK(Message("a: 1\nb: 2\n", take_a) == "x.yaml:2:1: unknown key 'b' in a thing; known keys: a");
  CHECK(Message("a: 1\na: 2\n", take_a) == "x.yaml:2:1: 'a' is given twice; keep one");
  CHECK(Message("b: 2\n", take_a).find("'a' is missing in a thing") != std::string::npos);
  CHECK(Message("a: x\n", take_a) == "x.yaml:1:4: 'a' must be a number");
  CHECK(Message("a: \"1\"\n", take_a) == "x.yaml:1:4: 'a' must be a number");
  CHECK(Message("a: .nan\n", take_a) == "x.yaml:1:4: 'a' must be a finite number");
  CHECK(Message("a: [1]\n", take_a) == "x.yaml:1:4: 'a' must be a number");
  CHECK(Message("a: 5\n", [](YamlMap& map) { map.Whole("a", 0, 4); }) ==
        "x.yaml:1:4: 'a' must be 0 to 4");
  CHECK(Message("a: 1.5\n", [](YamlMap& map) { map.Whole("a", 0, 4); }) ==
        "x.yaml:1:4: 'a' must be a whole number");
  CHECK(Message("a: c\n", [](YamlMap& map) {
          map.Choice("a", {"x", "y"});
        }) == "x.yaml:1:4: 'a' is 'c'; expected one of x, y");
  CHECK(Message("a: {b: 1}\n", [](YamlMap& map) { map.Texts("a"); }) ==
        "x.yaml:1:4: 'a' must be a list");
  CHECK(Message("a: 1\n", [](YamlMap& map) { map.Map("a", "a part"); }) ==
        "x.yaml:1:4: a part must be a mapping of 'key: value' lines");
}

TEST_CASE("what is no mapping is refused") {
  const auto nothing = [](YamlMap&) {};
  for (const char* yaml : {"", "- 1\n", "text", "a: 1\n---\nb: 2\n", "}", "a: [1", "a: \t- x"}) {
    CAPTURE(yaml);
    CHECK(Message(yaml, nothing).rfind("x.yaml", 0) == 0);
  }
}

}  // namespace
}  // namespace ppx::base
