#include "judge/chat_client.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "support/doctest.h"
#include "support/expect_error.h"
#include "support/fake_chat_server.h"
#include "support/temp_dir.h"
#include "unit/judge/virtual_clock.h"

namespace ppx::judge {
namespace {

using httplib::Request;
using httplib::Response;
using testing::Answer;
using testing::Completion;
using testing::Cut;
using testing::ErrorOf;
using testing::Fail;
using testing::FakeServer;
using testing::VirtualClock;
using Status = ChatReply::Status;

constexpr const char* kKeyVariable = "PPX_TEST_JUDGE_KEY";
constexpr const char* kKey = "sk-secret/0123456789";

// A client that waits in no time.
struct Client {
  explicit Client(const std::string& base_url, ChatOptions options = {}) {
    options.base_url = base_url;
    options.clock = &clock;
    client = std::make_unique<ChatClient>(options);
  }
  ChatReply Ask() { return client->Complete(R"({"model": "m"})"); }

  VirtualClock clock;
  std::unique_ptr<ChatClient> client;
};

bool Mentions(const ChatReply& reply, const std::string& text) {
  INFO(reply.reason);
  return reply.reason.find(text) != std::string::npos;
}

TEST_CASE("a request, its answer, tokens and cost") {
  FakeServer server(
      [](const Request&, Response& response, int) { Answer(response, "fine \u00e9"); });
  ChatOptions options;
  options.prices = Prices{2.5, 10};
  Client client(server.base_url() + "///", options);
  CHECK(client.client->base_url() == server.base_url());
  const ChatReply reply = client.Ask();
  CHECK(reply.status == Status::kOk);
  CHECK(reply.content == "fine \u00e9");
  CHECK(reply.finish_reason == "stop");
  CHECK(reply.tokens_in == 100);
  CHECK(reply.tokens_out == 20);
  CHECK(reply.requests == 1);
  CHECK(reply.reason.empty());
  CHECK(client.client->Cost(1000000, 500000) == 7.5);
  CHECK_FALSE(Client(server.base_url()).client->Cost(1, 1));
  REQUIRE(server.count() == 1);
  const Request seen = server.seen()[0];
  CHECK(seen.method == "POST");
  CHECK(seen.path == "/v1/chat/completions");
  CHECK(seen.get_header_value("Content-Type") == "application/json");
  CHECK_FALSE(seen.has_header("Authorization"));
  CHECK(seen.body == R"({"model": "m"})");
}

TEST_CASE("the body of a request is the same for the same question") {
  const std::string body = ChatRequestBody("m", 0, 7, "s", "u \xff \u00e9");
  CHECK(
      body ==
      "{\"max_tokens\":7,\"messages\":[{\"content\":\"s\",\"role\":\"system\"},"
      "{\"content\":\"u \ufffd \u00e9\",\"role\":\"user\"}],\"model\":\"m\",\"temperature\":0.0}");
  CHECK(ChatRequestBody("m", 0, 7, "", "u").find("system") == std::string::npos);
}

TEST_CASE("500 twice, then fine: the waits double") {
  FakeServer server([](const Request&, Response& response, int number) {
    number < 2 ? Fail(response, 500, "oops") : Answer(response, "fine");
  });
  Client client(server.base_url());
  const ChatReply reply = client.Ask();
  CHECK(reply.status == Status::kOk);
  CHECK(reply.content == "fine");
  CHECK(reply.requests == 3);
  CHECK(client.clock.waits() == std::vector<double>{1, 2});
}

TEST_CASE("retries end, and waits have a longest") {
  FakeServer server([](const Request&, Response& response, int) { Fail(response, 503, "busy"); });
  ChatOptions options;
  options.max_retries = 4;
  options.longest_wait_s = 3;
  Client client(server.base_url(), options);
  const ChatReply reply = client.Ask();
  CHECK(reply.status == Status::kFailed);
  CHECK(Mentions(reply, "HTTP 503: \"busy\""));
  CHECK(Mentions(reply, "sent 5 times"));
  CHECK(server.count() == 5);
  CHECK(client.clock.waits() == std::vector<double>{1, 2, 3, 3});
}

TEST_CASE("Retry-After: seconds, a date, the past, too long, nonsense") {
  const auto wait_for = [](const std::string& value) {
    FakeServer server([&](const Request&, Response& response, int number) {
      if (number > 0) return Answer(response, "fine");
      Fail(response, 429, "slow down");
      response.set_header("Retry-After", value);
    });
    Client client(server.base_url());
    CHECK(client.Ask().status == Status::kOk);
    REQUIRE(client.clock.waits().size() == 1);
    return client.clock.waits()[0];
  };
  CHECK(wait_for("7") == 7);
  CHECK(wait_for("0") == 1);
  CHECK(wait_for("Sun, 06 Nov 1994 08:50:07 GMT") == 30);
  CHECK(wait_for("Sun, 06 Nov 1994 08:49:00 GMT") == 1);
  CHECK(wait_for("Mon, 06 Nov 2034 08:49:37 GMT") == 60);
  CHECK(wait_for("3600") == 60);
  CHECK(wait_for("99999999999999999999999") == 60);
  CHECK(wait_for("-5") == 1);
  CHECK(wait_for("soon") == 1);
}

TEST_CASE("a cut connection and 408 are tried again") {
  FakeServer server([](const Request&, Response& response, int number) {
    if (number == 0) return Cut(response);
    if (number == 1) return Fail(response, 408, "too slow");
    Answer(response, "fine");
  });
  Client client(server.base_url());
  const ChatReply reply = client.Ask();
  CHECK(reply.status == Status::kOk);
  CHECK(reply.requests == 3);
}

TEST_CASE("nobody listens") {
  std::string url;
  {
    url = FakeServer([](const Request&, Response&, int) {}).base_url();
  }
  ChatOptions options;
  options.max_retries = 2;
  Client client(url, options);
  const ChatReply reply = client.Ask();
  CHECK(reply.status == Status::kFailed);
  CHECK(reply.requests == 3);
  CHECK(Mentions(reply, url));
  CHECK(client.clock.waits() == std::vector<double>{1, 2});
}

TEST_CASE("an answer that comes too late is tried again") {
  FakeServer server([](const Request&, Response& response, int number) {
    if (number == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1000));
    Answer(response, "fine");
  });
  ChatOptions options;
  options.total_timeout_s = 0.5;
  options.max_retries = 0;
  Client once(server.base_url(), options);
  const ChatReply late = once.Ask();
  CHECK(late.status == Status::kFailed);
  CHECK(Mentions(late, "timed out"));
  options.max_retries = 1;
  Client again(server.base_url(), options);
  CHECK(again.Ask().status == Status::kOk);
}

TEST_CASE("200 that is no completion is tried again") {
  const std::string deep = std::string(400000, '[') + std::string(400000, ']');
  const std::vector<std::string> all = {"<html>hello</html>",
                                        "",
                                        "{\"choices\": [}",
                                        "[1]",
                                        R"({"choices": []})",
                                        R"({"choices": [7]})",
                                        R"({"choices": [{"message": "hi"}]})",
                                        R"({"choices": [{"message": {"content": 5}}]})",
                                        R"({"error": {"message": "no"}})",
                                        "\xff\xfe",
                                        deep};
  for (const std::string& nonsense : all) {
    FakeServer server([&](const Request&, Response& response, int number) {
      number == 0 ? response.set_content(nonsense, "application/json") : Answer(response, "fine");
    });
    INFO(nonsense.substr(0, 100));
    Client client(server.base_url());
    const ChatReply reply = client.Ask();
    CHECK(reply.status == Status::kOk);
    CHECK(reply.content == "fine");
    CHECK(reply.requests == 2);
    ChatOptions options;
    options.max_retries = 0;
    FakeServer stubborn([&](const Request&, Response& response, int) {
      response.set_content(nonsense, "application/json");
    });
    Client once(stubborn.base_url(), options);
    const ChatReply failed = once.Ask();
    CHECK(failed.status == Status::kFailed);
    CHECK(Mentions(failed, "no chat completion"));
    CHECK_NOTHROW(static_cast<void>(nlohmann::json(failed.reason).dump()));  // UTF-8
  }
}

TEST_CASE("answers in other dresses") {
  const auto content_of = [](const std::string& body) {
    FakeServer server([&](const Request&, Response& response, int) {
      response.set_content(body, "application/json");
    });
    Client client(server.base_url());
    return client.Ask();
  };
  const ChatReply parts = content_of(
      R"({"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": "b"}, 1]}}]})");
  CHECK(parts.status == Status::kOk);
  CHECK(parts.content == "ab");
  CHECK(parts.finish_reason.empty());
  CHECK_FALSE(parts.tokens_in);
  const ChatReply null = content_of(
      R"({"choices": [{"message": {"content": null}}], "usage": {"prompt_tokens": -1,
          "completion_tokens": 2.5}})");
  CHECK(null.status == Status::kOk);
  CHECK(null.content.empty());
  CHECK_FALSE(null.tokens_in);
  CHECK_FALSE(null.tokens_out);
}

TEST_CASE("a body over the limit is given up at once") {
  FakeServer server([](const Request&, Response& response, int) {
    response.set_content(std::string(300000, 'x'), "application/json");
  });
  ChatOptions options;
  options.max_response_bytes = 200000;
  Client client(server.base_url(), options);
  const ChatReply reply = client.Ask();
  CHECK(reply.status == Status::kFailed);
  CHECK(reply.requests == 1);
  CHECK(Mentions(reply, "longer than 200000 bytes"));
}

TEST_CASE("what no second try can mend is sent once, and says what to set") {
  ::setenv(kKeyVariable, kKey, 1);
  struct Case {
    int status;
    Status expected;
    const char* hint;
  };
  for (const Case& c :
       {Case{400, Status::kFailed, "max_tokens"}, Case{401, Status::kRefused, kKeyVariable},
        Case{403, Status::kRefused, kKeyVariable}, Case{404, Status::kRefused, "/v1"},
        Case{422, Status::kFailed, "HTTP 422"}, Case{307, Status::kRefused, "has moved"}}) {
    INFO(c.status);
    FakeServer server([&](const Request&, Response& response, int) {
      Fail(response, c.status, "because");
      if (c.status == 307) response.set_header("Location", "/v1/chat/completions");
    });
    ChatOptions options;
    options.key_variable = kKeyVariable;
    Client client(server.base_url(), options);
    const ChatReply reply = client.Ask();
    CHECK(reply.status == c.expected);
    CHECK(server.count() == 1);
    CHECK(reply.requests == 1);
    CHECK(Mentions(reply, "because"));
    CHECK(Mentions(reply, c.hint));
    CHECK(client.clock.waits().empty());
  }
  FakeServer keyless([](const Request&, Response& response, int) { Fail(response, 401, "who?"); });
  CHECK(Mentions(Client(keyless.base_url()).Ask(), "name the environment variable"));
  FakeServer poor([](const Request&, Response& response, int) {
    response.status = 429;
    response.set_content(R"({"error": {"message": "m", "code": "insufficient_quota"}})",
                         "application/json");
  });
  Client client(poor.base_url());
  CHECK(client.Ask().status == Status::kRefused);
  CHECK(poor.count() == 1);
}

TEST_CASE("the key is in the Authorization header and nowhere else") {
  ::setenv(kKeyVariable, kKey, 1);
  // As a server might send it back: plain, and with its slash escaped.
  const std::string escaped = "sk-secret\\/0123456789";
  FakeServer server([&](const Request& request, Response& response, int number) {
    const std::string header = request.get_header_value("Authorization");
    if (number == 0) return Answer(response, "your " + header);
    if (number == 1) {
      return response.set_content(
          R"({"choices": [{"message": {"content": ")" + escaped + R"("}}]})", "application/json");
    }
    if (number == 2) {
      response.status = 401;
      return response.set_content(R"({"error": {"message": "bad key )" + escaped + R"("}})",
                                  "application/json");
    }
    response.status = 400;
    // Where the excerpt would cut it in two.
    response.set_content(R"({"error": {"message": ")" + std::string(195, 'x') + escaped + R"("}})",
                         "application/json");
  });
  ChatOptions options;
  options.key_variable = kKeyVariable;
  Client client(server.base_url(), options);
  CHECK(client.Ask().content == "your Bearer [key]");
  CHECK(client.Ask().content == "[key]");
  const ChatReply refused = client.Ask();
  CHECK(Mentions(refused, "bad key [key]"));
  const ChatReply failed = client.Ask();
  CHECK_FALSE(Mentions(failed, "sk-"));
  for (const Request& request : server.seen()) {
    CHECK(request.body.find("sk-") == std::string::npos);
    CHECK(request.path.find("sk-") == std::string::npos);
    for (const auto& [name, value] : request.headers) {
      if (name == "Authorization") {
        CHECK(value == std::string("Bearer ") + kKey);
      } else {
        CHECK(value.find("sk-") == std::string::npos);
      }
    }
  }
}

TEST_CASE("requests are spaced evenly, retries too") {
  FakeServer server([](const Request&, Response& response, int number) {
    number == 1 ? Fail(response, 500, "oops") : Answer(response, "fine");
  });
  ChatOptions options;
  options.requests_per_minute = 6;
  Client client(server.base_url(), options);
  client.Ask();
  client.Ask();
  client.Ask();
  // Second request after 10 s; it fails and is sent again 1 s of back-off and 9 s later.
  CHECK(client.clock.waits() == std::vector<double>{10, 1, 9, 10});
}

TEST_CASE("never more requests at once than allowed, whoever calls") {
  FakeServer server([](const Request&, Response& response, int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Answer(response, "fine");
  });
  ChatOptions options;
  options.max_concurrent = 2;
  Client client(server.base_url(), options);
  std::vector<std::thread> threads;
  std::atomic<int> fine{0};
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] { fine += client.Ask().status == Status::kOk ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(fine == 6);
  CHECK(server.most_at_once() == 2);
}

TEST_CASE("cancelling ends a request that is under way") {
  std::atomic<bool> release{false};
  std::atomic<bool> cancel{false};
  FakeServer server([&](const Request&, Response& response, int) {
    cancel = true;
    for (int i = 0; i < 1000 && !release; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    Answer(response, "fine");
  });
  ChatOptions options;
  options.cancel = &cancel;
  Client client(server.base_url(), options);
  const auto start = std::chrono::steady_clock::now();
  CHECK(ErrorOf([&] { client.Ask(); }).code == base::ErrorCode::kInterrupted);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  release = true;
  CHECK(ErrorOf([&] { client.Ask(); }).code == base::ErrorCode::kInterrupted);
  CHECK(server.count() == 1);
}

TEST_CASE("the machine's clock waits, and wakes when cancelled") {
  Clock& clock = SystemClock();
  const double start = clock.MonotonicSeconds();
  clock.Sleep(0.06, nullptr);
  CHECK(clock.MonotonicSeconds() - start >= 0.06);
  const std::atomic<bool> cancel{true};
  clock.Sleep(1000, &cancel);
  CHECK(clock.MonotonicSeconds() - start < 500);
  CHECK(clock.UnixSeconds() > 1700000000);
}

TEST_CASE("options that cannot work are told before anything is sent") {
  const auto refused = [](ChatOptions options) {
    const auto thrown = ErrorOf([&] { ChatClient client(options); });
    CHECK(thrown.code == base::ErrorCode::kUsage);
    CHECK_FALSE(thrown.Mentions("hunter2"));
    return thrown.message;
  };
  const auto url = [&](const std::string& base_url) {
    ChatOptions options;
    options.base_url = base_url;
    return refused(options);
  };
  url("");
  url("api.openai.com/v1");
  url("https://");
  url("ftp://host/v1");
  url("file:///etc/passwd");
  url("https://me:hunter2@host/v1");
  url("https://host/v1?key=hunter2");
  url("ftp://host/v1#hunter2");
  CHECK(url("https://host/v1/chat/completions").find("must end before") != std::string::npos);

  ::setenv(kKeyVariable, kKey, 1);
  ChatOptions options;
  options.base_url = "https://host/v1";
  options.key_variable = kKeyVariable;
  CHECK_NOTHROW(ChatClient{options});
  ChatOptions changed = options;
  changed.key_variable = "PPX_TEST_NO_SUCH_VARIABLE";
  CHECK(refused(changed).find("PPX_TEST_NO_SUCH_VARIABLE is not set") != std::string::npos);
  for (const char* const key : {"", "hunter2\r\nHost: x", "hunter2 "}) {
    ::setenv(kKeyVariable, key, 1);
    CHECK(refused(options).find(kKeyVariable) != std::string::npos);
  }
  ::setenv(kKeyVariable, kKey, 1);
  for (const char* const plain : {"http://host/v1", "http://127.evil.example/v1"}) {
    changed = options;
    changed.base_url = plain;
    CHECK(refused(changed).find("unencrypted") != std::string::npos);
    changed.allow_key_over_http = true;
    CHECK_NOTHROW(ChatClient{changed});
  }
  for (const char* const local :
       {"http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:1/v1"}) {
    changed = options;
    changed.base_url = local;
    CHECK_NOTHROW(ChatClient{changed});
  }
  changed = options;
  changed.max_concurrent = 0;
  refused(changed);
  changed = options;
  changed.max_retries = -1;
  refused(changed);
  changed = options;
  changed.total_timeout_s = 0;
  refused(changed);
  changed = options;
  changed.requests_per_minute = std::nan("");
  refused(changed);
  changed = options;
  changed.prices = Prices{-1, 0};
  refused(changed);
}

// A certificate for 127.0.0.1 that nobody but its maker trusts.
struct Certificate {
  Certificate() {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
    certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME* name = X509_get_subject_name(certificate);
    const std::string text = "test";
    X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(text.data()),
                               static_cast<int>(text.size()), -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(certificate, key, EVP_sha256());
  }
  ~Certificate() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  void WritePem(const std::string& path) const {
    std::FILE* file = std::fopen(path.c_str(), "w");
    REQUIRE(file != nullptr);
    PEM_write_X509(file, certificate);
    std::fclose(file);
  }

  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
};

TEST_CASE("certificates are checked") {
  const Certificate certificate;
  const testing::TempDir dir;
  certificate.WritePem(dir.File("ca.pem"));
  FakeServer server(std::make_unique<httplib::SSLServer>(certificate.certificate, certificate.key),
                    "https",
                    [](const Request&, Response& response, int) { Answer(response, "fine"); });

  Client distrusts(server.base_url());
  const ChatReply refused = distrusts.Ask();
  CHECK(refused.status == Status::kRefused);
  CHECK(refused.requests == 1);
  CHECK(Mentions(refused, "certificate is not trusted"));
  CHECK(server.count() == 0);

  ChatOptions options;
  options.ca_file = dir.File("ca.pem");
  Client trusts(server.base_url(), options);
  CHECK(trusts.Ask().content == "fine");

  // The certificate is for 127.0.0.1.
  std::string other_name = server.base_url();
  other_name.replace(other_name.find("127.0.0.1"), 9, "localhost");
  Client misled(other_name, options);
  CHECK(misled.Ask().status == Status::kRefused);

  options.ca_file = dir.File("none.pem");
  Client without(server.base_url(), options);
  CHECK(without.Ask().status == Status::kRefused);
}

}  // namespace
}  // namespace ppx::judge
