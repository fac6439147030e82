#include "judge/chat_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "judge/answer.h"

namespace ppx::judge {
namespace {

using nlohmann::json;

constexpr size_t kShortestSecret = 8;
constexpr const char* kBlackedOut = "[key]";
constexpr double kLongestTimeout = 24 * 3600;

struct HandleDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
using Handle = std::unique_ptr<CURL, HandleDeleter>;

struct HeadersDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, HeadersDeleter>;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

void Append(Headers& headers, const std::string& line) {
  curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
  if (longer == nullptr) base::ThrowResource("out of memory for the headers of a request");
  static_cast<void>(headers.release());
  headers.reset(longer);
}

template <typename T>
void Set(CURL* handle, CURLoption option, T value) {
  // The name in parentheses is the function; the macro of that name wants a literal option.
  if ((curl_easy_setopt)(handle, option, value) != CURLE_OK) {
    base::ThrowInternal(
        fmt::format("libcurl does not take its option {}", static_cast<int>(option)));
  }
}

// Empty where the URL does not have the part.
std::string Part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string copy = text;
  curl_free(text);
  return copy;
}

bool IsThisMachine(const std::string& host) {
  return host == "localhost" || host == "[::1]" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

struct BaseUrl {
  std::string text;  // without a '/' at its end
  bool this_machine = false;
};

BaseUrl CheckedBaseUrl(const ChatOptions& options) {
  std::string base = options.base_url;
  while (base.ends_with('/')) base.pop_back();
  const std::unique_ptr<CURLU, UrlDeleter> url(curl_url());
  if (!url) base::ThrowResource("out of memory for a URL");
  // The URL is in no message before it is known to hold no secret.
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) {
    base::ThrowUsage("the judge's base URL is not a URL; it looks like https://api.openai.com/v1");
  }
  if (!Part(url.get(), CURLUPART_USER).empty() || !Part(url.get(), CURLUPART_PASSWORD).empty() ||
      !Part(url.get(), CURLUPART_QUERY).empty() || !Part(url.get(), CURLUPART_FRAGMENT).empty()) {
    base::ThrowUsage(
        "the judge's base URL has a user, a password, '?' or '#'; put the key into an environment "
        "variable and name that");
  }
  const std::string scheme = Part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    base::ThrowUsage(
        fmt::format("the judge's base URL {} begins with neither https:// nor http://", base));
  }
  if (base.ends_with("/chat/completions")) {
    base::ThrowUsage(
        fmt::format("the judge's base URL {} must end before /chat/completions", base));
  }
  const bool this_machine = IsThisMachine(Part(url.get(), CURLUPART_HOST));
  if (scheme == "http" && !this_machine && !options.key_variable.empty() &&
      !options.allow_key_over_http) {
    base::ThrowUsage(fmt::format(
        "{}: the key in {} would travel unencrypted; use https://, name no key variable for a "
        "server that needs no key, or allow a key over http",
        base, options.key_variable));
  }
  return {base, this_machine};
}

std::string KeyFromEnvironment(const std::string& variable) {
  if (variable.empty()) return "";
  const char* value = std::getenv(variable.c_str());
  const std::string key = value == nullptr ? "" : value;
  if (key.empty()) {
    base::ThrowUsage(fmt::format(
        "the environment variable {} is not set; put the judge's key into it, or name no key "
        "variable for a server that needs no key",
        variable));
  }
  if (std::any_of(key.begin(), key.end(), [](char c) { return c <= 0x20 || c >= 0x7F; })) {
    base::ThrowUsage(
        fmt::format("the key in the environment variable {} has blanks or unprintable characters; "
                    "copy it again",
                    variable));
  }
  return key;
}

void CheckRange(const char* name, double value, double lowest, double highest) {
  if (!(value >= lowest && value <= highest)) {
    base::ThrowUsage(
        fmt::format("the judge's {} is {}; it must be {} to {}", name, value, lowest, highest));
  }
}

void CheckOptions(const ChatOptions& o) {
  CheckRange("connect timeout (s)", o.connect_timeout_s, 0.001, kLongestTimeout);
  CheckRange("total timeout (s)", o.total_timeout_s, 0.001, kLongestTimeout);
  CheckRange("number of retries", o.max_retries, 0, 100);
  CheckRange("first wait (s)", o.first_wait_s, 0, kLongestTimeout);
  CheckRange("longest wait (s)", o.longest_wait_s, 0, kLongestTimeout);
  CheckRange("requests per minute", o.requests_per_minute, 0, 1e9);
  CheckRange("number of concurrent requests", o.max_concurrent, 1, 256);
  if (o.prices) {
    CheckRange("price of input tokens", o.prices->input, 0, 1e9);
    CheckRange("price of output tokens", o.prices->output, 0, 1e9);
  }
}

long Milliseconds(double seconds) { return std::max(1L, std::lround(seconds * 1000)); }

// What came back from one request.
struct Exchange {
  CURLcode code = CURLE_OK;
  std::string error;  // of libcurl
  long status = 0;
  std::string body;
  bool too_long = false;
  std::string retry_after;
  size_t max_bytes = 0;
};

size_t TakeBody(char* data, size_t size, size_t count, void* user) {
  auto* exchange = static_cast<Exchange*>(user);
  const size_t bytes = size * count;
  if (bytes > exchange->max_bytes - exchange->body.size()) {
    exchange->too_long = true;
    return 0;
  }
  exchange->body.append(data, bytes);
  return bytes;
}

size_t TakeHeader(char* data, size_t size, size_t count, void* user) {
  constexpr std::string_view kName = "retry-after:";
  const std::string_view line(data, size * count);
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  if (line.size() > kName.size() &&
      std::equal(kName.begin(), kName.end(), line.begin(),
                 [&](char expected, char actual) { return same(actual, expected); })) {
    std::string_view value = line.substr(kName.size());
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
    static_cast<Exchange*>(user)->retry_after = value;
  }
  return size * count;
}

int StopWhenCancelled(void* user, curl_off_t /*down_total*/, curl_off_t /*down_now*/,
                      curl_off_t /*up_total*/, curl_off_t /*up_now*/) {
  const auto* cancel = static_cast<const std::atomic<bool>*>(user);
  return cancel != nullptr && *cancel ? 1 : 0;
}

// Seconds to wait, from "120" or an HTTP date; no value where the text is neither.
std::optional<double> RetryAfterSeconds(const std::string& text, int64_t unix_now) {
  if (text.empty()) return std::nullopt;
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    return error == std::errc() ? static_cast<double>(seconds) : kLongestTimeout;
  }
  const time_t date = curl_getdate(text.c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::max(0.0, static_cast<double>(date) - static_cast<double>(unix_now));
}

// The "error" of the body as the server words it: {"error": {"message": ..., "code": ...}} mostly.
struct ServerError {
  std::string message;
  std::string code;
};

ServerError ReadServerError(const std::string& body) {
  const json reply = json::parse(body, nullptr, /*allow_exceptions=*/false);
  const auto text = [](const json& object, const char* key) {
    return object.is_object() && object.contains(key) && object[key].is_string()
               ? object[key].get<std::string>()
               : std::string();
  };
  ServerError found;
  if (reply.is_object() && reply.contains("error")) {
    const json& error = reply["error"];
    found.message = error.is_string() ? error.get<std::string>() : text(error, "message");
    found.code = text(error, "code");
  }
  if (found.message.empty()) found.message = text(reply, "message");
  if (found.message.empty()) found.message = body;
  return found;
}

std::optional<int64_t> TokenCount(const json& usage, const char* key) {
  if (!usage.is_object() || !usage.contains(key) || !usage[key].is_number_integer()) {
    return std::nullopt;
  }
  constexpr int64_t kMost = int64_t{1} << 40;  // sums of any number of them stay exact
  const auto count = usage[key].get<int64_t>();
  return count >= 0 && count <= kMost ? std::optional(count) : std::nullopt;
}

// Fills `reply` from a chat completion. False where `body` is not one.
bool ReadCompletion(const std::string& body, ChatReply& reply) {
  const json completion = json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!completion.is_object() || !completion.contains("choices")) return false;
  const json& choices = completion["choices"];
  if (!choices.is_array() || choices.empty() || !choices[0].is_object()) return false;
  const json& choice = choices[0];
  if (!choice.contains("message") || !choice["message"].is_object()) return false;
  const json& message = choice["message"];
  if (choice.contains("finish_reason") && choice["finish_reason"].is_string()) {
    reply.finish_reason = choice["finish_reason"].get<std::string>();
  }
  if (completion.contains("usage")) {
    reply.tokens_in = TokenCount(completion["usage"], "prompt_tokens");
    reply.tokens_out = TokenCount(completion["usage"], "completion_tokens");
  }
  if (!message.contains("content")) return true;  // nothing was said
  const json& content = message["content"];
  if (content.is_string()) {
    reply.content = content.get<std::string>();
  } else if (content.is_array()) {  // some servers send the text in parts
    for (const json& part : content) {
      if (part.is_object() && part.contains("text") && part["text"].is_string()) {
        reply.content += part["text"].get<std::string>();
      }
    }
  } else if (!content.is_null()) {
    return false;
  }
  return true;
}

bool IsTlsFailure(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_ISSUER_ERROR;
}

void InitialiseCurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code != CURLE_OK) base::ThrowResource("libcurl cannot be used; check its installation");
}

}  // namespace

class ChatClient::Impl {
 public:
  explicit Impl(ChatOptions options) : options_(std::move(options)) {
    InitialiseCurl();
    CheckOptions(options_);
    BaseUrl base_url = CheckedBaseUrl(options_);
    options_.base_url = std::move(base_url.text);
    this_machine_ = base_url.this_machine;
    key_ = KeyFromEnvironment(options_.key_variable);
    url_ = options_.base_url + "/chat/completions";
    clock_ = options_.clock != nullptr ? options_.clock : &SystemClock();
    for (const char* line : {"Content-Type: application/json", "Accept: application/json",
                             "Expect:"}) {  // no waiting for "100 Continue"
      Append(headers_, line);
    }
    if (!key_.empty()) Append(headers_, "Authorization: Bearer " + key_);
  }

  ChatReply Complete(const std::string& body) {
    ChatReply reply;
    for (;;) {
      WaitForRate();
      const Exchange exchange = Send(body);
      ++reply.requests;
      if (exchange.code == CURLE_ABORTED_BY_CALLBACK) ThrowIfCancelled();
      if (!Assess(exchange, reply) || reply.requests > options_.max_retries) break;
      clock_->Sleep(WaitAfter(exchange, reply.requests), options_.cancel);
      ThrowIfCancelled();
    }
    if (reply.requests > 1 && reply.status != ChatReply::Status::kOk) {
      reply.reason += fmt::format(" (sent {} times)", reply.requests);
    }
    for (std::string* text : {&reply.content, &reply.finish_reason, &reply.reason}) {
      *text = WithoutKey(std::move(*text));
    }
    return reply;
  }

  const ChatOptions& options() const { return options_; }

 private:
  void ThrowIfCancelled() const {
    if (options_.cancel != nullptr && *options_.cancel) {
      throw base::Error(base::ErrorCode::kInterrupted, "interrupted while asking the judge");
    }
  }

  void WaitForRate() {
    if (options_.requests_per_minute <= 0) return;
    double wait = 0;
    {
      const std::lock_guard lock(mutex_);
      const double now = clock_->MonotonicSeconds();
      const double start = std::max(now, next_start_s_);
      next_start_s_ = start + 60 / options_.requests_per_minute;
      wait = start - now;
    }
    if (wait > 0) clock_->Sleep(wait, options_.cancel);
    ThrowIfCancelled();
  }

  // A handle, which is also the right to send: there are max_concurrent of them. Given back in any
  // case, and with it its connection.
  class Borrowed {
   public:
    explicit Borrowed(Impl& impl) : impl_(impl) {
      std::unique_lock lock(impl_.mutex_);
      impl_.free_.wait(lock, [&] { return impl_.under_way_ < impl_.options_.max_concurrent; });
      ++impl_.under_way_;
      if (!impl_.idle_.empty()) {
        handle_ = std::move(impl_.idle_.back());
        impl_.idle_.pop_back();
      }
    }
    ~Borrowed() {
      {
        const std::lock_guard lock(impl_.mutex_);
        --impl_.under_way_;
        if (handle_) impl_.idle_.push_back(std::move(handle_));
      }
      impl_.free_.notify_one();
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;

    CURL* get() {
      if (!handle_) handle_.reset(curl_easy_init());
      if (!handle_) base::ThrowResource("libcurl is out of memory");
      return handle_.get();
    }

   private:
    Impl& impl_;
    Handle handle_;
  };

  Exchange Send(const std::string& body) {
    Borrowed borrowed(*this);
    ThrowIfCancelled();
    CURL* handle = borrowed.get();
    curl_easy_reset(handle);  // keeps its connections
    Exchange exchange;
    exchange.max_bytes = options_.max_response_bytes;
    std::array<char, CURL_ERROR_SIZE> error{};
    Set(handle, CURLOPT_URL, url_.c_str());
    Set(handle, CURLOPT_POSTFIELDS, body.data());
    Set(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    Set(handle, CURLOPT_HTTPHEADER, headers_.get());
    Set(handle, CURLOPT_USERAGENT, "ppx");
    Set(handle, CURLOPT_SSL_VERIFYPEER, 1L);
    Set(handle, CURLOPT_SSL_VERIFYHOST, 2L);
    if (!options_.ca_file.empty()) Set(handle, CURLOPT_CAINFO, options_.ca_file.c_str());
    Set(handle, CURLOPT_FOLLOWLOCATION, 0L);
    if (this_machine_) Set(handle, CURLOPT_PROXY, "");  // whatever http_proxy says
    Set(handle, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(options_.connect_timeout_s));
    Set(handle, CURLOPT_TIMEOUT_MS, Milliseconds(options_.total_timeout_s));
    Set(handle, CURLOPT_NOSIGNAL, 1L);  // signals and threads do not mix
    Set(handle, CURLOPT_WRITEFUNCTION, &TakeBody);
    Set(handle, CURLOPT_WRITEDATA, &exchange);
    Set(handle, CURLOPT_HEADERFUNCTION, &TakeHeader);
    Set(handle, CURLOPT_HEADERDATA, &exchange);
    Set(handle, CURLOPT_NOPROGRESS, 0L);
    Set(handle, CURLOPT_XFERINFOFUNCTION, &StopWhenCancelled);
    Set(handle, CURLOPT_XFERINFODATA, options_.cancel);
    Set(handle, CURLOPT_ERRORBUFFER, error.data());
    exchange.code = curl_easy_perform(handle);
    exchange.error = error[0] != '\0' ? error.data() : curl_easy_strerror(exchange.code);
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &exchange.status);
    // The buffer and the exchange end here; the handle, and what it points to, stays.
    curl_easy_reset(handle);
    exchange.body = WithoutKey(std::move(exchange.body));
    exchange.error = WithoutKey(std::move(exchange.error));
    return exchange;
  }

  // Of bodies before they are parsed or cut, and again of texts taken from them, whose escapes may
  // have hidden it.
  std::string WithoutKey(std::string text) const {
    if (key_.size() < kShortestSecret) return text;
    for (size_t at = text.find(key_); at != std::string::npos; at = text.find(key_, at)) {
      text.replace(at, key_.size(), kBlackedOut);
    }
    return text;
  }

  // Fills `reply` with what the exchange means. True where sending again may help.
  bool Assess(const Exchange& exchange, ChatReply& reply) const {
    using Status = ChatReply::Status;
    const int requests = reply.requests;
    reply = ChatReply{};  // nothing of an earlier exchange
    reply.requests = requests;
    if (exchange.too_long) {
      reply.reason = fmt::format("{}: the answer is longer than {} bytes; is it a judge?", url_,
                                 options_.max_response_bytes);
      return false;
    }
    if (exchange.code != CURLE_OK) {
      reply.reason = fmt::format("{}: {}", url_, exchange.error);
      if (!IsTlsFailure(exchange.code)) return true;
      reply.status = Status::kRefused;
      reply.reason +=
          "; the server's certificate is not trusted: check the URL, or name the file of its "
          "authority";
      return false;
    }
    if (exchange.status >= 200 && exchange.status < 300) {
      if (ReadCompletion(exchange.body, reply)) {
        reply.status = Status::kOk;
        return false;
      }
      reply.reason = fmt::format(
          "{}: the answer is no chat completion: \"{}\"; does the base URL lead to an "
          "OpenAI-compatible server?",
          url_, Excerpt(exchange.body));
      return true;
    }
    return AssessHttpError(exchange, reply);
  }

  bool AssessHttpError(const Exchange& exchange, ChatReply& reply) const {
    const ServerError error = ReadServerError(exchange.body);
    reply.reason = fmt::format("{}: HTTP {}: \"{}\"", url_, exchange.status,
                               Excerpt(WithoutKey(error.message)));
    reply.status = ChatReply::Status::kRefused;
    const bool has_key = !options_.key_variable.empty();
    if (exchange.status == 401) {
      reply.reason += has_key ? fmt::format("; put a valid key into {}", options_.key_variable)
                              : "; name the environment variable that holds the key";
      return false;
    }
    if (exchange.status == 403) {
      reply.reason +=
          has_key ? fmt::format("; use a key in {} that may use this model", options_.key_variable)
                  : "; name the environment variable that holds the key";
      return false;
    }
    if (exchange.status == 404) {
      reply.reason += "; check the base URL, which mostly ends in /v1, and the model's name";
      return false;
    }
    if (exchange.status >= 300 && exchange.status < 400) {
      reply.reason += "; the server has moved: set the base URL to its new address";
      return false;
    }
    if (exchange.status == 429 && error.code == "insufficient_quota") {
      reply.reason += "; the account of the key is used up";
      return false;
    }
    reply.status = ChatReply::Status::kFailed;
    if (exchange.status == 400) {
      reply.reason += "; does the model take this request (temperature, max_tokens, its length)?";
    }
    return exchange.status == 408 || exchange.status == 429 || exchange.status >= 500;
  }

  double WaitAfter(const Exchange& exchange, int requests) const {
    const double own = options_.first_wait_s * std::exp2(requests - 1);
    const double asked = RetryAfterSeconds(exchange.retry_after, clock_->UnixSeconds()).value_or(0);
    return std::min(std::max(own, asked), options_.longest_wait_s);
  }

  ChatOptions options_;
  std::string key_;
  std::string url_;
  bool this_machine_ = false;
  Headers headers_;  // sent with every request; never changed
  Clock* clock_ = nullptr;

  std::mutex mutex_;  // of everything below
  std::condition_variable free_;
  int under_way_ = 0;
  std::vector<Handle> idle_;
  double next_start_s_ = 0;
};

ChatClient::ChatClient(ChatOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
ChatClient::~ChatClient() = default;

ChatReply ChatClient::Complete(const std::string& body) { return impl_->Complete(body); }

std::optional<double> ChatClient::Cost(int64_t tokens_in, int64_t tokens_out) const {
  const std::optional<Prices>& prices = impl_->options().prices;
  if (!prices) return std::nullopt;
  return (static_cast<double>(tokens_in) * prices->input +
          static_cast<double>(tokens_out) * prices->output) /
         1e6;
}

const std::string& ChatClient::base_url() const { return impl_->options().base_url; }
int ChatClient::max_concurrent() const { return impl_->options().max_concurrent; }
const std::atomic<bool>* ChatClient::cancel() const { return impl_->options().cancel; }

std::string ChatRequestBody(const std::string& model, double temperature, int max_tokens,
                            const std::string& system, const std::string& user) {
  json messages = json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", user}});
  const json body = {{"model", model},
                     {"temperature", temperature},
                     {"max_tokens", max_tokens},
                     {"messages", std::move(messages)}};
  return body.dump(-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace);
}

}  // namespace ppx::judge
