#include "report/csv.h"

#include "small_results.h"
#include "support/doctest.h"

namespace ppx::report {
namespace {

constexpr const char* kHead = "task,id,folder,scored,reason,flags,scorer,metric,value,status\r\n";

Results OneValue(const std::string& text, std::optional<double> value) {
  Results results;
  results.samples.push_back({"t", text, "t/1", true, "", {}, {}});
  results.samples[0].values.push_back({"event", "m", value, value ? "ok" : "no_response"});
  return results;
}

}  // namespace

TEST_CASE("no samples are a head alone") { CHECK(ToCsv(Results{}) == kHead); }

TEST_CASE("one line a sample and value; a broken sample has one line") {
  Results results = OneMetricResults(Latency(), {-0.25, std::nullopt});
  results.samples[0].flags = {"no_speech", "noise_like"};
  results.samples.push_back({"t", "9", "t/9", false, "no output.wav", {}, {}});
  CHECK(ToCsv(results) ==
        std::string(kHead) +
            "candor_turn_taking,1,candor_turn_taking/1,true,,no_speech noise_like,event,"
            "response_latency_s,-0.25,ok\r\n"
            "candor_turn_taking,2,candor_turn_taking/2,true,,,event,response_latency_s,,"
            "no_response\r\n"
            "t,9,t/9,false,no output.wav,,,,,\r\n");
}

TEST_CASE("cells are quoted where they must be") {
  CHECK(ToCsv(OneValue("a,b", 1)).find("t,\"a,b\",t/1") != std::string::npos);
  CHECK(ToCsv(OneValue("a\"b", 1)).find("t,\"a\"\"b\",t/1") != std::string::npos);
  CHECK(ToCsv(OneValue("a\nb", 1)).find("t,\"a\nb\",t/1") != std::string::npos);
  CHECK(ToCsv(OneValue("a\rb", 1)).find("t,\"a\rb\",t/1") != std::string::npos);
  CHECK(ToCsv(OneValue("a b", 1)).find("t,a b,t/1") != std::string::npos);
}

TEST_CASE("no text becomes a formula, and numbers stay numbers") {
  for (const char* text : {"=1+1", "+1", "-1", "@SUM(A1)"}) {
    CAPTURE(text);
    CHECK(ToCsv(OneValue(text, 1)).find("t,'" + std::string(text) + ",t/1") != std::string::npos);
  }
  CHECK(ToCsv(OneValue("\t=1", 1)).find("t,'\t=1,t/1") != std::string::npos);
  CHECK(ToCsv(OneValue("\r=1", 1)).find("t,\"'\r=1\",t/1") != std::string::npos);
  CHECK(ToCsv(OneValue("\n=1", 1)).find("t,\"'\n=1\",t/1") != std::string::npos);
  CHECK(ToCsv(OneValue("a", -1.5)).find(",m,-1.5,ok") != std::string::npos);
}

TEST_CASE("numbers read back the same") {
  CHECK(ToCsv(OneValue("a", 1.0 / 3)).find(",0.3333333333333333,") != std::string::npos);
  CHECK(ToCsv(OneValue("a", 1e-5)).find(",1e-05,") != std::string::npos);
  CHECK(ToCsv(OneValue("a", 0)).find(",m,0,ok") != std::string::npos);
}

TEST_CASE("bytes that are not UTF-8 are replaced") {
  CHECK(ToCsv(OneValue("a\xff", 1)).find("t,a\xef\xbf\xbd,t/1") != std::string::npos);
}

}  // namespace ppx::report
