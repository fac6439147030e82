// tests/support/fake_chat_server.h: a chat-completions endpoint on 127.0.0.1 that a test scripts.
#pragma once

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace ppx::testing {

// A completion as servers send it.
inline std::string Completion(const std::string& content, int tokens_in = 100,
                              int tokens_out = 20) {
  return nlohmann::json{
      {"choices",
       {{{"message", {{"role", "assistant"}, {"content", content}}}, {"finish_reason", "stop"}}}},
      {"usage", {{"prompt_tokens", tokens_in}, {"completion_tokens", tokens_out}}}}
      .dump();
}

inline void Answer(httplib::Response& response, const std::string& content) {
  response.set_content(Completion(content), "application/json");
}

inline void Fail(httplib::Response& response, int status, const std::string& message) {
  response.status = status;
  response.set_content(nlohmann::json{{"error", {{"message", message}}}}.dump(),
                       "application/json");
}

// The connection ends in the middle of the body.
inline void Cut(httplib::Response& response) {
  response.set_content_provider(1000, "application/json",
                                [](size_t /*offset*/, size_t /*length*/, httplib::DataSink& sink) {
                                  sink.write("{\"choi", 6);
                                  return false;
                                });
}

// The last message of a request: the user's prompt.
inline std::string UserPrompt(const httplib::Request& request) {
  return nlohmann::json::parse(request.body)["messages"].back()["content"];
}

class FakeServer {
 public:
  // `number` counts requests from 0. Called by several threads at once.
  using Handler = std::function<void(const httplib::Request&, httplib::Response&, int number)>;

  explicit FakeServer(Handler handler)
      : FakeServer(std::make_unique<httplib::Server>(), "http", std::move(handler)) {}
  FakeServer(std::unique_ptr<httplib::Server> server, std::string scheme, Handler handler)
      : server_(std::move(server)), scheme_(std::move(scheme)), handler_(std::move(handler)) {
    server_->set_keep_alive_timeout(1);
    server_->Post(".*", [this](const httplib::Request& request, httplib::Response& response) {
      int number = 0;
      {
        const std::lock_guard lock(mutex_);
        number = static_cast<int>(seen_.size());
        seen_.push_back(request);
        most_at_once_ = std::max(most_at_once_, ++under_way_);
      }
      handler_(request, response, number);
      const std::lock_guard lock(mutex_);
      --under_way_;
    });
    port_ = server_->bind_to_any_port("127.0.0.1");
    if (port_ <= 0) throw std::runtime_error("no port for the test's server");
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~FakeServer() {
    server_->stop();
    thread_.join();
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  std::string base_url() const { return scheme_ + "://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::vector<httplib::Request> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  int count() const { return static_cast<int>(seen().size()); }
  int most_at_once() const {
    const std::lock_guard lock(mutex_);
    return most_at_once_;
  }

 private:
  std::unique_ptr<httplib::Server> server_;
  std::string scheme_;
  Handler handler_;
  int port_ = 0;
  std::thread thread_;
  mutable std::mutex mutex_;
  std::vector<httplib::Request> seen_;
  int under_way_ = 0;
  int most_at_once_ = 0;
};

}  // namespace ppx::testing
