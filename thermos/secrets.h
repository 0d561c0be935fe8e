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

/// Values that must not be seen. Masking puts '*' in the place of each byte, so that no position in a text changes.
class Secrets {
 public:
  static constexpr std::size_t kShortest = 4;  ///< shorter values are not looked for in text: they are everywhere

  /// Also as it looks in JSON, and with %XX decoded.
  void add(const std::string& value);
  /// Userinfo, and parameters with a secret name, of every URI in `text`.
  void add_from_uris(std::string_view text);

  std::string masked(std::string text) const;
  bool empty() const { return values_.empty(); }

 private:
  void add_one(const std::string& value);
  std::vector<std::string> values_;  ///< the longest first
};

/// Everything secret that the task has been given: variables with a secret name or named in `sandbox.secrets`, values
/// of headers, credentials in URIs.
Secrets secrets_of(const RunnerSpec& spec);

/// Without what is secret, and still a spec; values of secret variables and headers become "***", however short.
RunnerSpec masked(RunnerSpec spec, const Secrets& secrets);

}  // namespace dewar
