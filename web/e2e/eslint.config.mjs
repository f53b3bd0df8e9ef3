import js from "@eslint/js";
import globals from "globals";

const strict = {
  eqeqeq: "error",
  "no-var": "error",
  "prefer-const": "error",
  "no-implicit-globals": "error",
  "no-eval": "error",
  "no-restricted-properties": [
    "error",
    { property: "innerHTML", message: "text from targets is never markup" },
    { property: "outerHTML", message: "text from targets is never markup" },
    { property: "insertAdjacentHTML", message: "text from targets is never markup" },
  ],
};

export default [
  js.configs.recommended,
  { files: ["assets/*.js"], languageOptions: { globals: globals.browser }, rules: strict },
  { files: ["e2e/*.mjs"], languageOptions: { globals: { ...globals.node, ...globals.browser } }, rules: strict },
];
