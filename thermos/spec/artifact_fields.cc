// `artifacts:` of a task and `fetch:` of a process.
#include <algorithm>
#include <cctype>

#include "thermos/spec/names.h"
#include "thermos/spec/task_fields.h"

namespace dewar {
namespace {

bool is_name_char(unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '.'; }

void read_uri(Reading& reading, const Node& node, std::string& out) {
  if (!reading.text(node, out)) return;
  const std::string problem = uri_problem(out);
  if (!problem.empty()) reading.complain(node.place, quoted(out.substr(0, out.find('?'))) + " " + problem);
}

template <auto M>
void path_field(Reading& reading, const Node& node, Artifact& out) {
  if (!reading.text(node, out.*M)) return;
  if (!is_inner_path(out.*M)) reading.wrong(node, "a path in the sandbox, relative and without '.', '..' or '//'");
}

template <auto M, std::size_t kDigits>
void digest_field(Reading& reading, const Node& node, Artifact& out) {
  std::string& digest = out.*M;
  if (!reading.text(node, digest)) return;
  std::ranges::transform(digest, digest.begin(), [](unsigned char c) { return std::tolower(c); });
  const bool hexadecimal = std::ranges::all_of(digest, [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (digest.size() != kDigits || !hexadecimal) reading.wrong(node, std::to_string(kDigits) + " hexadecimal digits");
}

void read_mirrors(Reading& reading, const Node& node, Artifact& out) {
  if (!reading.is_list(node)) return;
  for (const Node& item : node.items) read_uri(reading, item, out.mirrors.emplace_back());
}

void read_extract(Reading& reading, const Node& node, Artifact& out) {
  bool wanted = false;
  if (reading.truth(node, wanted)) out.extract = wanted ? Unpack::kAlways : Unpack::kNever;
}

void read_cache(Reading& reading, const Node& node, Artifact& out) {
  bool wanted = false;
  if (reading.truth(node, wanted)) out.cache = wanted ? CacheUse::kYes : CacheUse::kNo;
}

/// RFC 9110, 5.6.2: what a field's name is made of.
bool is_token(std::string_view name) {
  constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || kSigns.find(c) != std::string_view::npos;
  });
}

void read_headers(Reading& reading, const Node& node, Artifact& out) {
  constexpr std::string_view kOurs[] = {"host",      "range", "if-range", "content-length", "transfer-encoding",
                                        "connection"};
  if (!reading.is_map(node)) return;
  for (const Node& item : node.items) {
    std::string value, low = item.key;
    if (!reading.text(item, value)) continue;
    std::ranges::transform(low, low.begin(), [](unsigned char c) { return std::tolower(c); });
    const bool clean = std::ranges::none_of(value, [](unsigned char c) { return c < 32 || c == 127; });
    if (!is_token(item.key) || std::ranges::find(kOurs, low) != std::end(kOurs)) {
      reading.complain(item.key_place, quoted(item.key) + " is no header that can be set here");
    } else if (!clean) {
      reading.wrong(item, "a line of text without control characters");
    } else {
      if (low == "authorization" || low == "cookie")
        reading.warn(item.key_place,
                     "a secret in a task file is kept with the task; 'credential' names a file instead");
      out.headers[item.key] = std::move(value);
    }
  }
}

void read_credential(Reading& reading, const Node& node, Artifact& out) {
  if (!reading.text(node, out.credential)) return;
  const bool name = !out.credential.empty() && out.credential[0] != '.' && out.credential.size() <= 200 &&
                    std::ranges::all_of(out.credential, is_name_char);
  if (!name) reading.wrong(node, "the name of a file: letters, digits, '_', '-' and '.'");
}

constexpr Field<Artifact> kArtifactFields[] = {
    {"uri", [](Reading& r, const Node& n, Artifact& a) { read_uri(r, n, a.uri); }},
    {"mirrors", read_mirrors},
    {"sha256", digest_field<&Artifact::sha256, 64>},
    {"sha512", digest_field<&Artifact::sha512, 128>},
    {"output_file", path_field<&Artifact::output_file>},
    {"into", path_field<&Artifact::into>},
    {"extract", read_extract},
    {"executable", truth_field<&Artifact::executable>},
    {"cache", read_cache},
    {"headers", read_headers},
    {"credential", read_credential},
    {"timeout", [](Reading& r, const Node& n, Artifact& a) { r.span(n, a.timeout, std::chrono::milliseconds(1)); }},
    {"max_size", [](Reading& r, const Node& n, Artifact& a) { r.bytes(n, a.max_size, 1); }},
};

void read_artifact(Reading& reading, const Node& node, std::vector<Artifact>& out) {
  Artifact artifact;
  if (node.kind == Node::Kind::kText) {
    read_uri(reading, node, artifact.uri);
  } else {
    reading.fields(node, kArtifactFields, artifact);
    if (node.kind != Node::Kind::kMap) return;
    if (!node.find("uri")) reading.complain(node.place, "an artifact needs a 'uri'");
    if (const Node* extract = node.find("extract");
        extract && artifact.executable && artifact.extract == Unpack::kAlways)
      reading.complain(extract->key_place, "an artifact is either executable or an archive to extract");
    if (const Node* into = node.find("into"); into && (artifact.executable || artifact.extract == Unpack::kNever))
      reading.complain(into->key_place,
                       "'into' is for archives that are extracted; a file's place is its 'output_file'");
  }
  out.push_back(std::move(artifact));
}

}  // namespace

void read_artifacts(Reading& reading, const Node& node, std::vector<Artifact>& out) {
  if (node.kind == Node::Kind::kText || node.kind == Node::Kind::kMap) return read_artifact(reading, node, out);
  if (!reading.is_list(node)) return;
  if (node.items.empty()) reading.wrong(node, "a URI, an artifact, or a list of them");
  for (const Node& item : node.items) read_artifact(reading, item, out);
}

}  // namespace dewar
