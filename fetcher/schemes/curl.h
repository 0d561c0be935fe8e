// What the schemes that libcurl speaks have in common: limits of time and size, the rules of addresses, the way to the
// pipe.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>
#include <vector>

#include "fetcher/schemes/schemes.h"

namespace dewar {

/// One request. Subclasses set options on handle() before run(), and look at headers and bytes.
class CurlRequest {
 public:
  explicit CurlRequest(const TransferContext& context);
  CurlRequest(const CurlRequest&) = delete;
  virtual ~CurlRequest() = default;

 protected:
  /// A line of the answer's head, with its line end.
  virtual void header(std::string_view) {}
  /// False: these bytes are no part of the artifact (an error's page).
  virtual bool wanted() { return true; }
  /// Called once before the first byte that counts. False ends the transfer; result() is set.
  virtual bool begin() { return true; }

  /// Through the proxy to `host`, or past it; before each run(). False: not with this proxy; result() is set.
  bool choose_way(std::string host);
  CURLcode run();
  CURL* handle() const { return handle_.get(); }
  /// Takes what the artifact consists of, which is written at the latest when run() ends; gives up with words if it
  /// grows too big.
  bool deliver(std::string_view bytes);
  void finish(TransferEnd end, std::string words);
  /// What a failed run() means for the next try.
  void explain(CURLcode code);
  const std::string& body() const { return other_body_; }

  const TransferContext& context_;
  TransferResult result_;
  std::uint64_t total_ = 0;  ///< of the whole; 0: not known
  bool given_up_ = false;    ///< result_ says why

 private:
  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  static curl_socket_t on_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
  bool log_in_at_proxy();
  bool keeps_pace();
  /// Writes what is gathered. False: that failed; result() is set.
  bool pass_on();

  struct Free {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  std::unique_ptr<CURL, Free> handle_;
  char words_[CURL_ERROR_SIZE] = {};
  std::string other_body_, address_refusal_;
  std::string
      gathered_;  ///< delivered and not yet written: libcurl hands over 16 KiB at most, and each write has its price
  Time started_{}, window_start_{}, told_{};
  std::uint64_t window_bytes_ = 0;
  bool answered_ = false, begun_ = false, through_proxy_ = false;
};

}  // namespace dewar
