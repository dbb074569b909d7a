"""How many pulses programming takes, and how wrong weights are then: three ways compared.

Reading a device and pulsing it until it is right (write-verify) wastes no pulse on devices that are
right, but has to read every device by itself, again and again. Descending the error of products
with random inputs reads all devices at once. The same with fixed inputs, one line at a time, is
what most programs do. Each programs the same random weights on devices with soft bounds, through
products with the usual noise. Ends in what the last pulses bought.

Run it: python programming_budget.py. It takes a few seconds and writes programming_budget.png.
"""

import os

from rpusim.studies import programming_budget
from rpusim.studies.pictures import figure, save_figure

REPLICAS = 1 if os.environ.get("RPUSIM_SHORT") else 10

found = programming_budget(replicas=REPLICAS)
fig = figure()
found.plot(fig.subplots())
save_figure(fig, "programming_budget.png")

# Means over replicas; a method that stopped before a budget keeps its last error.
pulses, wrong, products = (
    a.mean(axis=-1) for a in (found.pulses, found.weight_error, found.product_error)
)
print("relative errors of weights, after pulses per device:")
print(f"{'':14}" + "".join(f"{budget:8g}" for budget in found.budgets))
for name, errors in zip(found.methods, wrong, strict=True):
    print(f"{name:14}" + "".join(f"{error:8.3f}" for error in errors))

print("\nat the end: pulses per device, errors of weights and of products, reads")
for k, name in enumerate(found.methods):
    kind = "of each device" if name == "write_verify" else "of all devices at once"
    end = f"{pulses[k, -1]:8.1f}{wrong[k, -1]:8.3f}{products[k, -1]:8.3f}"
    print(f"{name:14}{end}   {found.reads[k].mean():.0f} {kind}")

end = dict(
    zip(found.methods, zip(pulses[:, -1], found.reads.mean(axis=1), strict=True), strict=True)
)
devices = 24 * 32
print(
    "\nThe picture is programming_budget.png. Write-verify leaves a device alone that is right, so"
)
print(
    "it takes the fewest pulses, but it reads every device by itself. The gradient gets as far with"
)
print(
    "products, which read all devices at once, and averages their noise over a batch; fixed inputs"
)
print("follow the noise of each single read, and end with larger errors. With the gradient")
print(
    f"{end['gradient'][0] / end['write_verify'][0]:.1f} times the pulses of write-verify replace "
    f"{end['write_verify'][1] * devices:.0f} reads of single devices by "
    f"{end['gradient'][1]:.0f} products"
)
