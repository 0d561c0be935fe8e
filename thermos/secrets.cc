#include "thermos/secrets.h"

#include <algorithm>
#include <cctype>

#include "base/json_writer.h"

namespace dewar {
namespace {

constexpr std::string_view kWords[] = {"TOKEN",      "SECRET", "PASSWORD",  "PASSWD", "KEY",
                                       "CREDENTIAL", "AUTH",   "SIGNATURE", "PRIVATE"};
constexpr std::string_view kMask = "***";

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0 &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 2])) != 0;
    if (escape) out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
    if (!escape) out += text[i];
    if (escape) i += 2;
  }
  return out;
}

std::string in_json(const std::string& text) {
  JsonWriter json;
  std::string quoted = json.value(text).take();
  return quoted.substr(1, quoted.size() - 2);
}

std::string_view uri_at(std::string_view text) {
  return text.substr(0, std::min(text.find_first_of(" \t\r\n\"'<>`|;"), text.size()));
}

bool is_secret(const SandboxSpec& sandbox, const std::string& name) {
  return is_secret_name(name) || std::ranges::find(sandbox.secrets, name) != sandbox.secrets.end();
}

std::string name_of(const std::string& entry) { return entry.substr(0, entry.find('=')); }

/// Where `value` was given as `name` in the task's JSON; what is too short to look for is masked there too.
void mask_given(std::string& json, const std::string& name, const std::string& value) {
  const std::string key = "\"" + in_json(name) + "\":\"", given = key + in_json(value) + "\"";
  const std::string shown = key + std::string(kMask) + "\"";
  for (std::size_t at = json.find(given); at != std::string::npos; at = json.find(given, at + shown.size()))
    json.replace(at, given.size(), shown);
}

}  // namespace

bool is_secret_name(std::string_view name) {
  const std::string upper_name = upper(name);
  return std::ranges::any_of(kWords, [&](std::string_view word) { return upper_name.find(word) != std::string::npos; });
}

void Secrets::add_one(const std::string& value) {
  if (value.size() >= kShortest && std::ranges::find(values_, value) == values_.end()) values_.push_back(value);
}

void Secrets::add(const std::string& value) {
  for (const std::string& form : {value, decoded(value)}) {
    add_one(form);
    add_one(in_json(form));
  }
}

void Secrets::add_from_uris(std::string_view text) {
  for (std::size_t at = text.find("://"); at != std::string_view::npos; at = text.find("://", at + 3)) {
    const std::string_view rest = uri_at(text.substr(at + 3));
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    if (const std::size_t sign = authority.rfind('@'); sign != std::string_view::npos) {
      const std::string_view user = authority.substr(0, sign);
      const std::size_t colon = user.find(':');
      add(std::string(colon == std::string_view::npos ? user : user.substr(colon + 1)));
    }
    for (std::size_t mark = rest.find_first_of("?&"); mark != std::string_view::npos; mark = rest.find('&', mark + 1)) {
      const std::string_view pair = rest.substr(mark + 1, rest.find_first_of("&#", mark + 1) - mark - 1);
      const std::size_t equals = pair.find('=');
      if (equals == std::string_view::npos) continue;
      const std::string_view name = pair.substr(0, equals);
      if (is_secret_name(name) || upper(name) == "SIG") add(std::string(pair.substr(equals + 1)));
    }
  }
}

std::size_t MaskedText::moved(std::size_t place) const {
  const auto next = std::ranges::upper_bound(masks, place, {}, [](const Mask& mask) { return mask.begin + 1; });
  if (next == masks.begin()) return place;
  const Mask& before = *std::prev(next);
  return before.new_end + (place > before.end ? place - before.end : 0);
}

/// Secrets that overlap are masked as one: what is left of the second would be a part of it.
MaskedText Secrets::mask(std::string_view text) const {
  std::vector<std::pair<std::size_t, std::size_t>> hits;
  for (const std::string& value : values_)
    for (std::size_t at = text.find(value); at != std::string_view::npos; at = text.find(value, at + value.size()))
      hits.emplace_back(at, at + value.size());
  std::ranges::sort(hits);
  MaskedText masked;
  std::size_t done = 0;
  for (const auto& [begin, end] : hits) {
    if (!masked.masks.empty() && begin < masked.masks.back().end) {
      done = masked.masks.back().end = std::max(done, end);
      continue;
    }
    masked.text.append(text.substr(done, begin - done)).append(kMask);
    masked.masks.push_back({begin, end, masked.text.size()});
    done = end;
  }
  masked.text.append(text.substr(done));
  return masked;
}

Secrets secrets_of(const RunnerSpec& spec) {
  Secrets secrets;
  for (const auto& [name, value] : spec.sandbox.environment) {
    if (is_secret(spec.sandbox, name)) secrets.add(value);
    secrets.add_from_uris(value);
  }
  for (const std::string& entry : spec.preserved_environment) {
    const std::string name = name_of(entry);
    const std::string value = name.size() < entry.size() ? entry.substr(name.size() + 1) : "";
    if (is_secret(spec.sandbox, name)) secrets.add(value);
    secrets.add_from_uris(value);
  }
  if (spec.health && spec.health->shell_command) secrets.add_from_uris(*spec.health->shell_command);
  for (const ProcessSpec& process : spec.plan.processes) {
    secrets.add_from_uris(process.cmdline);
    for (const Artifact& artifact : process.fetch) {
      secrets.add_from_uris(artifact.uri);
      for (const std::string& mirror : artifact.mirrors) secrets.add_from_uris(mirror);
      for (const auto& [name, value] : artifact.headers) {
        secrets.add(value);
        // "Bearer xyz": the word in front is no secret, and may be missing elsewhere.
        if (const std::size_t blank = value.rfind(' '); blank != std::string::npos)
          secrets.add(value.substr(blank + 1));
      }
    }
  }
  return secrets;
}

RunnerSpec masked(RunnerSpec spec, const Secrets& secrets) {
  const auto mask = [&](std::string& text) { text = secrets.masked(text); };
  const auto mask_whole = [&](const std::string& name, std::string& value) {
    mask_given(spec.task_json, name, value);
    value = kMask;
  };
  for (auto& [name, value] : spec.sandbox.environment)
    is_secret(spec.sandbox, name) ? mask_whole(name, value) : mask(value);
  for (std::string& entry : spec.preserved_environment) {
    if (is_secret(spec.sandbox, name_of(entry))) entry = name_of(entry) + "=" + std::string(kMask);
    mask(entry);
  }
  for (ProcessSpec& process : spec.plan.processes) {
    mask(process.cmdline);
    for (Artifact& artifact : process.fetch) {
      mask(artifact.uri);
      for (std::string& mirror : artifact.mirrors) mask(mirror);
      for (auto& [name, value] : artifact.headers) mask_whole(name, value);
    }
  }
  if (spec.health) {
    mask(spec.health->http.endpoint);
    mask(spec.health->http.expected_response);
    if (spec.health->shell_command) mask(*spec.health->shell_command);
  }
  mask(spec.task_json);
  mask(spec.network.hosts_file);
  for (auto& [program, config] : spec.network.plugins) mask(config);
  spec.source.clear();  // the task once more, in a form that cannot be masked
  return spec;
}

}  // namespace dewar
