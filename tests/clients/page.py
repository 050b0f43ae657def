"""The page at $MILLRACE_URL in a browser: types, waits, looks. Screenshots go to $MILLRACE_SCREENSHOTS, if that is set."""
import json
import os
import unittest

from browser import Browser

URL = os.environ["MILLRACE_URL"]
TOKEN = os.environ.get("MILLRACE_TOKEN", "")
SCREENSHOTS = os.environ.get("MILLRACE_SCREENSHOTS")
SPANS = "[...document.querySelectorAll('#text span')]"
DONE = "!document.body.hasAttribute('data-busy') && / steps, /.test(document.getElementById('message').textContent)"


def shoot(page, name, whole=False):
    if SCREENSHOTS:
        page.screenshot(os.path.join(SCREENSHOTS, f"{name}.png"), whole)


class Page(unittest.TestCase):
    def open(self, **options):
        page = Browser(**options)
        self.addCleanup(page.__exit__)
        page.open(URL)
        if TOKEN:
            page.wait("document.getElementById('ask-token')?.open")
            page.run("document.getElementById('token').focus()")
            page.type(TOKEN)
            page.press("Enter", 13)
        page.wait("document.getElementById('steps')?.value")
        page.complaints.clear()  # the browser notes the 401 that asked for the token
        return page

    def text(self, page):
        return page.value(f"{SPANS}.map((span) => span.textContent).join('')")

    def write(self, page, prompt, length=48, steps=8, seed=""):
        page.run(f"""for (const [name, value] of Object.entries({json.dumps({"prompt": "", "length": length, "steps": steps, "seed": seed})}))
                       document.getElementById(name).value = value;
                     document.getElementById('prompt').focus();""")
        page.type(prompt)
        page.press("Enter", 13, modifiers=2)  # Ctrl
        page.wait(DONE)
        return self.text(page)

    def test_a_text_is_written_and_every_step_can_be_looked_at(self):
        page = self.open()
        final = self.write(page, "The old house stood", seed="7")
        self.assertTrue(final.startswith("The old house stood"), final)
        self.assertEqual(page.value("document.getElementById('step').value"), "8")
        given = page.value(f"{SPANS}.filter((span) => span.classList.contains('given')).map((span) => span.textContent).join('')")
        self.assertEqual(given, "The old house stood")
        states = []
        for step in range(9):
            page.run(f"const slider = document.getElementById('step'); slider.value = {step}; slider.dispatchEvent(new Event('input'))")
            states.append(self.text(page))
        self.assertEqual(states[-1], final)
        self.assertGreater(len(set(states)), 4)
        self.assertTrue(all(state.startswith("The old house stood") for state in states))
        for curve in ("changes", "entropy", "score"):
            self.assertTrue(page.value(f"document.querySelector('#curve-{curve} path')?.getAttribute('d')"), curve)
        shoot(page, "write-light")
        self.assertEqual(page.complaints, [])

    def test_a_link_writes_the_same_text(self):
        page = self.open()
        final = self.write(page, "It was")
        page.run("document.getElementById('link').click()")
        link = page.wait("location.hash && location.href")
        other = self.open()
        other.open("about:blank")
        other.open(link)
        if TOKEN:  # this tab has it already
            self.assertEqual(other.value("sessionStorage.getItem('millrace-token')") or TOKEN, TOKEN)
        other.wait(DONE)
        self.assertEqual(self.text(other), final)

    def test_selected_words_are_written_anew(self):
        page = self.open(width=390, height=844, dark=True, scale=2)
        before = self.write(page, "The old house stood")
        n = page.value(f"{SPANS}.length")
        page.run(f"""const spans = {SPANS}, range = document.createRange();
                     range.setStart(spans[{n // 2}].firstChild, 0); range.setEnd(spans[{n // 2 + 8}].firstChild, spans[{n // 2 + 8}].textContent.length);
                     getSelection().removeAllRanges(); getSelection().addRange(range);""")
        page.wait("!document.getElementById('rewrite').hidden")
        page.run("document.getElementById('rewrite').click()")
        page.wait(f"{SPANS}.filter((span) => !span.classList.contains('given')).length === 9")
        page.wait(DONE)
        after = self.text(page)
        head = page.value(f"{SPANS}.findIndex((span) => !span.classList.contains('given'))")
        kept = page.value(f"{SPANS}.slice(0, {head}).map((span) => span.textContent).join('')")
        self.assertTrue(before.startswith(kept) and after.startswith(kept), (before, after))
        shoot(page, "write-dark-phone", whole=True)
        self.assertEqual(page.complaints, [])

    def test_a_token_can_be_read_about_by_keyboard(self):
        page = self.open()
        self.write(page, "It was")
        page.run("document.getElementById('text').focus()")
        for _ in range(6):
            page.press("ArrowRight", 39)
        tip = page.wait("!document.getElementById('tip').hidden && document.getElementById('tip').textContent")
        self.assertIn("position 5", tip)
        self.assertEqual(page.value("document.getElementById('announce').textContent"), tip)

    def test_what_is_wrong_is_said(self):
        page = self.open()
        page.run("""document.getElementById('length').removeAttribute('max'); document.getElementById('length').value = 100000;
                    document.getElementById('form').requestSubmit();""")
        self.assertIn("max_tokens", page.wait("document.getElementById('message').className === 'wrong' && document.getElementById('message').textContent"))

    def test_stop_ends_the_work(self):
        page = self.open()
        page.run("document.getElementById('steps').value = 1024; document.getElementById('form').requestSubmit();")
        page.wait("document.getElementById('message').textContent.startsWith('step ')")
        page.run("document.getElementById('stop').click()")
        page.wait("document.getElementById('message').textContent === 'stopped'")
        page.wait("fetch('/v1/millrace/status', {headers: sessionStorage['millrace-token'] ? {Authorization: `Bearer ${sessionStorage['millrace-token']}`} : {}})"
                  ".then((answer) => answer.json()).then((status) => status.running + status.queued === 0)")

    def test_the_cluster_is_seen(self):
        page = self.open(dark=True)
        page.run("document.getElementById('tab-cluster').focus()")
        page.run("document.getElementById('tab-cluster').click()")
        self.assertEqual(page.wait("document.querySelector('#replicas td')?.textContent"), "r0")
        page.wait("!!document.querySelector('#curve-rate path')")
        self.assertEqual(page.value("document.getElementById('tab-cluster').getAttribute('aria-selected')"), "true")
        page.press("ArrowLeft", 37)
        page.wait("!document.getElementById('write').hidden")
        page.press("ArrowRight", 39)
        page.wait("!document.getElementById('cluster').hidden")
        shoot(page, "cluster-dark")
        self.assertEqual(page.complaints, [])

    def test_nothing_comes_from_elsewhere(self):
        page = self.open()
        self.write(page, "It was", length=16, steps=2)
        sources = page.value("performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)")
        self.assertEqual(set(sources), {page.value("location.origin")})
        self.assertTrue(page.value("crossOriginIsolated"))

    def test_controls_have_names(self):
        page = self.open()
        nameless = page.value("""[...document.querySelectorAll('input, select, textarea, button')].filter((control) =>
            !(control.labels?.length || control.getAttribute('aria-label') || control.textContent.trim())).map((control) => control.id)""")
        self.assertEqual(nameless, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
