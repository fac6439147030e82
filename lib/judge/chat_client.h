// lib/judge/chat_client.h: questions to an OpenAI-compatible chat-completions endpoint over HTTP.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "judge/clock.h"

namespace ppx::judge {

struct Prices {  // in whatever currency, for a million tokens
  double input = 0;
  double output = 0;
};

struct ChatOptions {
  // Up to and with the version: "https://api.openai.com/v1". Requests go to BASE/chat/completions.
  std::string base_url;
  // Name of the environment variable that holds the key. Empty: no key is sent.
  std::string key_variable;
  // A key is sent over plain http:// to this machine only, unless this is set.
  bool allow_key_over_http = false;
  // PEM file of authorities to trust instead of the system's; empty for the system's.
  std::string ca_file;

  double connect_timeout_s = 10;
  double total_timeout_s = 120;  // of one request, connecting included

  // A request that failed for a reason that may pass is sent again up to so many times, after
  // first_wait_s, then twice that, and so on; a longer Retry-After of the server is waited for
  // instead. No wait is longer than longest_wait_s.
  int max_retries = 5;
  double first_wait_s = 1;
  double longest_wait_s = 60;

  double requests_per_minute = 0;  // evenly spaced, retries too; 0 for no limit
  int max_concurrent = 4;          // requests under way at once
  size_t max_response_bytes = size_t{1} << 20;

  std::optional<Prices> prices;
  // Once true, calls end with kInterrupted within about a second. May be null.
  const std::atomic<bool>* cancel = nullptr;
  Clock* clock = nullptr;  // null for SystemClock()
};

struct ChatReply {
  enum class Status {
    kOk,
    kFailed,  // this request got no answer; another one may
    kRefused  // no request can get an answer: key, address, model or certificate are wrong
  };
  Status status = Status::kFailed;
  std::string content;        // of the first choice's message; may be empty
  std::string finish_reason;  // "stop", "length", ...; empty where the server does not say
  // From `usage`; none where the server does not say.
  std::optional<int64_t> tokens_in;
  std::optional<int64_t> tokens_out;
  int requests = 0;    // sent for this reply, the first one included
  std::string reason;  // why not kOk: one line that says what to set or do
};

// Thread-safe. Connections are kept and used again.
//
// Sent again: what failed on the way (no connection, name not found, cut, timed out), HTTP 408,
// 429 and 5xx, and 200 with a body that is no chat completion, as overloaded gateways send. Not
// sent again: everything else, and bodies over the limit. Certificates are always checked.
// Redirects are not followed, so the key goes to the named host only.
//
// The key is in the Authorization header and nowhere else: were a server to echo it, it is blacked
// out in `content` and `reason` (keys of fewer than 8 characters are no secrets and left alone).
//
// Does not stream, and sets no signal handler: a peer that closes an encrypted connection may
// raise SIGPIPE in the calling thread, where it should be blocked or ignored.
class ChatClient {
 public:
  // Throws base::Error (kUsage) where the options cannot work: no such environment variable, a
  // base URL that is no http(s) URL or carries a user or a query, numbers outside their range.
  explicit ChatClient(ChatOptions options);
  ~ChatClient();
  ChatClient(const ChatClient&) = delete;
  ChatClient& operator=(const ChatClient&) = delete;

  // POSTs `body`, a request in JSON. Throws base::Error (kInterrupted) once cancelled; every other
  // failure is in the reply.
  ChatReply Complete(const std::string& body);

  // Of that many tokens; no value where no prices are known.
  std::optional<double> Cost(int64_t tokens_in, int64_t tokens_out) const;

  // Without a '/' at its end.
  const std::string& base_url() const;
  int max_concurrent() const;
  const std::atomic<bool>* cancel() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The request's JSON; equal arguments give equal bytes. Bytes that are not UTF-8 are replaced by
// U+FFFD. An empty `system` sends no system message.
std::string ChatRequestBody(const std::string& model, double temperature, int max_tokens,
                            const std::string& system, const std::string& user);

}  // namespace ppx::judge
