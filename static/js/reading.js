// A page of a conversation that is not its end: read, copy, and go to another branch.
import { Acts } from "./acts.js";
import { dress } from "./code.js";
import "./frame.js";

const list = document.getElementById("thread");
dress(list);
new Acts({ list, heal: () => location.assign(location.pathname), article: () => null }, {});
