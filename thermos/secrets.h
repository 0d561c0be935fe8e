// What of a task is secret, and how it is kept out of what is handed on: one rule for all (docs/explain.md, "Secrets").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "thermos/runner_spec.h"

namespace dewar {

/// The name of a variable, header or parameter says that its value is secret: TOKEN, SECRET, PASSWORD, PASSWD, KEY,
/// CREDENTIAL, AUTH, SIGNATURE or PRIVATE stands in it, whatever the case.
bool is_secret_name(std::string_view name);

/// Text without secrets, and where its bytes went.
struct MaskedText {
  struct Mask {
    std::size_t begin, end;  ///< of the secret, in the text that it stood in
    std::size_t new_end;     ///< of what stands there now
  };
  std::string text;
  std::vector<Mask> masks = {};  ///< in order
  /// Where what stood at `place` is now; what was within a secret is at the end of its mask.
  std::size_t moved(std::size_t place) const;
};

/// Values that must not be seen. In the place of each stands the same mask, so that not even its length is told.
class Secrets {
 public:
  static constexpr std::size_t kShortest = 4;  ///< shorter values are not looked for in text: they are everywhere

  /// Also as it looks in JSON, and with %XX decoded.
  void add(const std::string& value);
  /// Userinfo, and parameters with a secret name, of every URI in `text`.
  void add_from_uris(std::string_view text);

  std::string masked(std::string_view text) const { return mask(text).text; }
  MaskedText mask(std::string_view text) const;
  bool empty() const { return values_.empty(); }

 private:
  void add_one(const std::string& value);
  std::vector<std::string> values_;
};

/// Everything secret that the task has been given: variables with a secret name or named in `sandbox.secrets`, values
/// of headers, credentials in URIs.
Secrets secrets_of(const RunnerSpec& spec);

/// Without what is secret, and still a spec; values of secret variables and headers become "***", however short.
RunnerSpec masked(RunnerSpec spec, const Secrets& secrets);

}  // namespace dewar
