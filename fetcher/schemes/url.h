#pragma once

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <string>
#include <string_view>

namespace dewar {

/// A URL as libcurl itself reads it: nobody can make us think of another host than it connects to.
class Url {
 public:
  explicit Url(const std::string& text, unsigned flags = 0) {
    good_ = curl_url_set(url_.get(), CURLUPART_URL, text.c_str(), flags) == CURLUE_OK;
  }
  static std::string lower(std::string_view text) {
    std::string low(text);
    std::ranges::transform(low, low.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return low;
  }
  bool good() const { return good_; }
  std::string part(CURLUPart which, unsigned flags = 0) const {
    char* text = nullptr;
    if (curl_url_get(url_.get(), which, &text, flags) != CURLUE_OK) return {};
    std::string copy = text;
    curl_free(text);
    return copy;
  }
  /// In lower case; empty if it is not good.
  std::string scheme() const { return lower(part(CURLUPART_SCHEME)); }
  std::string host() const { return lower(part(CURLUPART_HOST)); }
  std::string origin() const { return scheme() + "://" + host() + ":" + part(CURLUPART_PORT, CURLU_DEFAULT_PORT); }
  /// Takes user and password out.
  void strip() {
    for (const CURLUPart which : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_FRAGMENT})
      curl_url_set(url_.get(), which, nullptr, 0);
  }
  std::string text() const { return part(CURLUPART_URL); }

 private:
  struct Free {
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
  };
  std::unique_ptr<CURLU, Free> url_{curl_url()};
  bool good_ = false;
};

}  // namespace dewar
