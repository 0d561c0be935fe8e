#include "isolation/launch/http_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dewar {
namespace {

using State = HttpAnswer::State;
using testing::HasSubstr;

HttpProbe probe_for(const std::string& body, std::uint32_t code = 0) { return {31337, "/health", body, code, {}}; }

/// "whole 200 OK|ok", "part 200 OK|o", "wrong: words".
std::string told(const std::string& bytes, bool ended = false) {
  const HttpAnswer answer = read_http_answer(bytes, ended);
  if (answer.state == State::kWrong) return "wrong: " + answer.words;
  return (answer.state == State::kWhole ? "whole " : "part ") + std::to_string(answer.code) + " " + answer.reason +
         "|" + answer.body;
}

TEST(HttpAnswer, HasABodyOfTheLengthThatItsHeadSays) {
  EXPECT_EQ(told("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "whole 200 OK|ok");
  EXPECT_EQ(told("HTTP/1.0 200 OK\r\ncontent-length:2 \r\n\r\nok and more"), "whole 200 OK|ok");
  EXPECT_EQ(told("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"), "part 200 OK|ok");
  EXPECT_EQ(told("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true),
            "wrong: closed the connection within its answer");
  EXPECT_EQ(told("HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"), "whole 404 Not Found|");
  EXPECT_EQ(told("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "whole 200 |");
}

TEST(HttpAnswer, HasABodyUpToTheEndWhereItsHeadSaysNothing) {
  EXPECT_EQ(told("HTTP/1.1 200 OK\r\n\r\nok"), "part 200 OK|ok");
  EXPECT_EQ(told("HTTP/1.1 200 OK\r\n\r\nok", true), "whole 200 OK|ok");
  EXPECT_EQ(told("HTTP/1.1 204 No Content\r\n\r\n"), "whole 204 No Content|");
}

TEST(HttpAnswer, ComesInChunks) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
  EXPECT_EQ(told(head + "1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n"), "whole 200 OK|ok");
  for (const char* part : {"", "2", "2\r\n", "2\r\no", "2\r\nok", "2\r\nok\r", "2\r\nok\r\n"}) {
    EXPECT_THAT(told(head + part), testing::StartsWith("part 200 OK|")) << part;
    EXPECT_EQ(told(head + part, true), "wrong: closed the connection within its answer") << part;
  }
  for (const char* broken : {"x\r\n", "\r\n", "-1\r\n", "1\r\nok\r\n", "1\r\no\rk", "fffffffffffffffff\r\n"})
    EXPECT_EQ(told(head + broken), "wrong: answered a broken chunk") << broken;
  EXPECT_EQ(told(head + "ffffffffffffffff\r\nok"), "part 200 OK|ok");
}

TEST(HttpAnswer, InterimAnswersAreSkipped) {
  EXPECT_EQ(
      told("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
           "2\r\n\r\nok"),
      "whole 200 OK|ok");
  EXPECT_EQ(told("HTTP/1.1 100 Continue\r\n\r\n"), "part 0 |");
  EXPECT_EQ(told("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "part 101 Switching Protocols|");
}

TEST(HttpAnswer, WhatIsNoneIsToldAtOnce) {
  EXPECT_EQ(told("SSH-2.0-OpenSSH_9.2\r\n"), "wrong: answered what is no HTTP: 'SSH-2.0-OpenSSH_9.2'");
  EXPECT_EQ(told("HTTP/2 200\r\n"), "wrong: answered what is no HTTP: 'HTTP/2 200'");
  for (const char* line :
       {"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 2000 OK", "HTTP/1.1 abc", "HTTP/1.12 200", "HTTP/1.1 099 x"})
    EXPECT_THAT(told(std::string(line) + "\r\n\r\n"), testing::StartsWith("wrong: answered what is no HTTP: 'HTTP/1.1"))
        << line;
  EXPECT_THAT(told("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), HasSubstr("no HTTP: 'Content-Length: -1'"));
  EXPECT_THAT(told("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), HasSubstr("no HTTP"));
  EXPECT_EQ(told("", true), "wrong: closed the connection without an answer");
  EXPECT_EQ(told("HTTP/1.1 200 O", true), "wrong: answered half a head");
  EXPECT_EQ(told("HT"), "part 0 |");
  EXPECT_EQ(read_http_answer("HTTP/1.1 200 OK\r\n", false).code, 0);  // a head that has no end yet tells nothing
}

TEST(HttpAnswer, IsBoundedInHeadAndBody) {
  const std::string status = "HTTP/1.1 200 OK\r\n", much(HttpAnswer::kMostHead, 'x');
  EXPECT_EQ(told(status + much), "wrong: answered with headers that have no end");
  EXPECT_EQ(told(status + much + "\r\n\r\n"), "wrong: answered with headers that have no end");
  std::string many = status;
  while (many.size() <= HttpAnswer::kMostHead) many += "A: b\r\n";
  EXPECT_EQ(told(many), "wrong: answered with headers that have no end");
  EXPECT_EQ(told(much), "wrong: answered what is no HTTP: '" + std::string(120, 'x') + "'");
  const HttpAnswer endless = read_http_answer(status + "\r\n" + std::string(HttpAnswer::kMostBody + 1, 'y'), false);
  EXPECT_EQ(endless.state, State::kWhole);
  EXPECT_EQ(endless.body.size(), HttpAnswer::kMostBody);
  EXPECT_TRUE(endless.cut);
}

TEST(HttpAnswer, EveryPartOfAWholeOneIsAPartOfIt) {
  for (const std::string whole : {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n"}) {
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_EQ(read_http_answer(whole.substr(0, size), false).state, State::kPart) << size;
    EXPECT_EQ(read_http_answer(whole, false).state, State::kWhole);
  }
}

/// "+ words" or "- words".
std::string verdict(const HttpProbe& probe, const std::string& status, const std::string& body) {
  const HttpAnswer answer = read_http_answer("HTTP/1.1 " + status + "\r\n\r\n" + body, true);
  EXPECT_EQ(answer.state, State::kWhole);
  const ProbeVerdict told = judge(probe, answer);
  return (told.passed ? "+ " : "- ") + told.words;
}

TEST(HttpProbe, ComparesTheBodyWithoutCaseAndBlanks) {
  EXPECT_EQ(verdict(probe_for("ok"), "200 OK", " \tOk\r\n\r\n"), "+ answered 200 OK");
  EXPECT_EQ(verdict(probe_for(" OK\n"), "200 OK", "ok"), "+ answered 200 OK");
  EXPECT_EQ(verdict(probe_for("ok"), "200 OK", "okay"), "- answered 200 OK: 'okay' instead of 'ok'");
  EXPECT_EQ(verdict(probe_for("ok"), "200 OK", ""), "- answered 200 OK: nothing instead of 'ok'");
  EXPECT_EQ(verdict(probe_for("ok"), "500 Oops", "stack trace\nline 2"),
            "- answered 500 Oops: 'stack trace' instead of 'ok'");
  EXPECT_EQ(verdict(probe_for(""), "200 OK", "anything"), "+ answered 200 OK");
  EXPECT_EQ(verdict(probe_for("o\0k"), "200 OK", std::string("ok\0", 3)).substr(0, 1), "-");
  EXPECT_EQ(verdict(probe_for(""), "200 OK", std::string(HttpAnswer::kMostBody + 9, 'x')), "+ answered 200 OK");
  EXPECT_EQ(verdict(probe_for("x"), "200 OK", "x" + std::string(HttpAnswer::kMostBody, ' ')).substr(0, 1), "-");
}

TEST(HttpProbe, ComparesTheCodeIfOneIsExpected) {
  EXPECT_EQ(verdict(probe_for("", 200), "200 OK", "x"), "+ answered 200 OK");
  EXPECT_EQ(verdict(probe_for("", 200), "503 Busy", "try later"), "- answered 503 Busy instead of 200: 'try later'");
  EXPECT_EQ(verdict(probe_for("ok", 204), "200 OK", "ok"), "- answered 200 OK instead of 204: 'ok'");
  EXPECT_EQ(verdict(probe_for("", 0), "500 Oops", "x"), "+ answered 500 Oops");  // as Thermos: 0 compares nothing
}

TEST(HttpProbe, NeedsTheBodyOnlyWhereItDecidesOrTells) {
  HttpAnswer answer;
  answer.code = 200;
  EXPECT_FALSE(needs_body(probe_for(""), answer));
  EXPECT_FALSE(needs_body(probe_for("", 200), answer));
  EXPECT_TRUE(needs_body(probe_for("", 201), answer));
  EXPECT_TRUE(needs_body(probe_for("ok", 200), answer));
}

TEST(HttpProbe, AsksForOnePathAndNothingElse) {
  HttpProbe probe = probe_for("");
  probe.path = "/a b\r\nX: y\x7f\xff?q=1&r=%20";
  EXPECT_EQ(
      http_request(probe),
      "GET /a%20b%0D%0AX:%20y%7F%FF?q=1&r=%20 HTTP/1.1\r\nHost: localhost:31337\r\nUser-Agent: dewar\r\nAccept: */*\r\n"
      "Connection: close\r\n\r\n");
}

}  // namespace
}  // namespace dewar
