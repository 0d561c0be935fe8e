// Lines of name=value, an empty line, and the text to expand with them. A value may refer to others, even to itself.
#include "thermos/spec/template.h"

#include <cstdlib>
#include <map>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  std::map<std::string, std::string> values;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
    const std::string line = text.substr(0, end);
    text.erase(0, end + 1);
    if (line.empty()) break;
    const std::size_t equals = std::min(line.find('='), line.size());
    values[line.substr(0, equals)] = line.substr(std::min(equals + 1, line.size()));
  }
  const auto resolve = [&](const std::string& reference) {
    const auto found = values.find(reference);
    if (dewar::split_reference(reference).empty()) std::abort();  // never asked for what is no reference
    if (reference.starts_with("thermos.")) return dewar::means_later();
    return found == values.end() ? dewar::means_nothing("unknown") : dewar::means(found->second);
  };
  std::size_t budget = 1u << 20;
  const dewar::Expansion once = dewar::expand(text, resolve, budget);
  if (once.ok != once.problems.empty() || once.text.size() > 4 * dewar::kMaxExpandedSize) std::abort();
  if (once.ok) {
    const dewar::Expansion twice = dewar::expand(once.text, resolve, budget);
    if (twice.ok && twice.text != once.text) std::abort();
  }
  dewar::unescape(once.text);
  return 0;
}
