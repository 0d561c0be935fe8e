// An HTTP/1 answer, as far as a probe needs it, out of bytes that may be anybody's. Pure, and bounded in all it does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "isolation/launch_info.h"

namespace dewar {

struct HttpAnswer {
  static constexpr std::size_t kMostHead = 16u << 10;    ///< of one head, with its headers
  static constexpr std::size_t kMostBody = 64u << 10;    ///< more is not asked for
  static constexpr std::size_t kMostBytes = 256u << 10;  ///< of all that is read

  enum class State : std::uint8_t {
    kPart,   ///< more is to come
    kWhole,  ///< `body` is whole, or has the first kMostBody bytes
    kWrong,  ///< no answer, whatever is to come; `words` says why
  };
  State state = State::kPart;
  int code = 0;        ///< 0: the head is not whole yet
  std::string reason;  ///< "Not Found"
  std::string body;    ///< as far as it is there
  bool cut = false;    ///< there is more of it
  std::string words;
};

/// What `bytes`, all that were read so far, hold. `ended`: the peer will send no more. Interim answers (1xx) are
/// skipped.
HttpAnswer read_http_answer(std::string_view bytes, bool ended);

/// "GET /health HTTP/1.1" and its headers. What may not stand in a path is escaped.
std::string http_request(const HttpProbe& probe);

struct ProbeVerdict {
  bool passed = false;
  std::string words;  ///< "answered 500 Internal Server Error: 'oops' instead of 'ok'"; may hold any bytes
};
/// What an answer with its head means. One without a body to compare is judged by its head alone.
ProbeVerdict judge(const HttpProbe& probe, const HttpAnswer& answer);
/// Whether the rest of the body can change the verdict.
bool needs_body(const HttpProbe& probe, const HttpAnswer& answer);

}  // namespace dewar
